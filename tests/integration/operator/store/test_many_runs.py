"""10,000 runs, beside as many of a library: each statement finds its rows by an index and reads no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest

from perdure_operator.sources.liveness import Liveness
from perdure_operator.store.pool import query
from perdure_operator.store.rows import LONGEST_ERROR
from perdure_operator.truncate import MAX_RESULT_BYTES
from tests.harness.databases import Database, Databases

from .stores import OWNER, asynchronous, opened

RUNS = 10_000

_FILL = f"""
INSERT INTO perdure.runs (id, owner, name, entrypoint, input, state, finished)
SELECT gen_random_uuid(), 'queue:default', 'library ' || g, 'a:b', '{{}}', 'succeeded', now()
FROM generate_series(1, {RUNS}) g;
INSERT INTO perdure.runs (id, owner, namespace, name, entrypoint, input, state, finished, attempt, result, gone)
SELECT gen_random_uuid(), '{OWNER}', 'shop', 'over ' || g, 'a:b', '{{}}', 'succeeded', now() - interval '8 days', 1,
       '1', CASE WHEN g % 100 = 0 THEN now() - interval '8 days' END
FROM generate_series(1, {RUNS}) g;
INSERT INTO perdure.runs
    (id, owner, namespace, name, entrypoint, input, state, attempt, claim, token, process, begun, timeline)
SELECT gen_random_uuid(), '{OWNER}', 'shop', 'live ' || g, 'a:b', '{{}}', 'running', 1, gen_random_uuid(),
       gen_random_uuid(), gen_random_uuid(), true, perdure.timeline()
FROM generate_series(1, {RUNS // 100}) g;
INSERT INTO perdure.processes (id, owner, claim, host, pid, pid_started)
SELECT process, owner, claim, 'pod', 1, 1 FROM perdure.runs WHERE state = 'running';
INSERT INTO perdure.attempts (run_id, attempt, claim, begun, ended, ending)
SELECT id, 1, coalesce(claim, gen_random_uuid()), now(), finished, CASE WHEN finished IS NOT NULL THEN 'completed' END
FROM perdure.runs WHERE owner = '{OWNER}';
INSERT INTO perdure.steps (run_id, step_key, ordinal, name, attempt, tries, clock, result, started, finished)
SELECT id, 'step#' || g, g, 'step', 1, 1, 0, '1', now(), now()
FROM perdure.runs, generate_series(1, 3) g WHERE owner = '{OWNER}';
VACUUM ANALYZE perdure.runs, perdure.steps, perdure.attempts, perdure.processes
"""


@pytest.fixture(scope="module")
def many(databases: Databases) -> Iterator[Database]:
    made = databases.new()
    with closing(made.connect()) as connection:
        for part in _FILL.split(";"):
            connection.execute(part.encode())
    yield made
    databases.drop(made)


def live(many: Database) -> UUID:
    [(uid,)] = many.query("SELECT id FROM perdure.runs WHERE state = 'running' LIMIT 1")
    return UUID(str(uid))


def plan(many: Database, name: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
    """The nodes of a statement's plan, as it went."""
    text = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query(name)
    document: Any = None
    with closing(many.connect(prepare_threshold=None)) as connection:
        # What a first call reads of the catalogue is no matter.
        for _ in range(2):
            with connection.transaction(force_rollback=True):
                [(document,)] = connection.execute(text.encode(), {"owner": OWNER, **parameters}).fetchall()
    found: list[dict[str, Any]] = []

    def walk(node: dict[str, Any]) -> None:
        found.append(node)
        for child in node.get("Plans", []):
            walk(child)

    walk(document[0]["Plan"])
    return found


@pytest.mark.parametrize(
    ("name", "pages"),
    [
        ("observe", 40),
        ("claim_run", 80),
        ("release_run", 80),
        ("set_limits", 60),
        ("request_cancel", 60),
        ("cancel_gone", 80),
        ("end_run", 80),
        ("mark_gone", 60),
        ("insert_run", 60),
        ("active_runs", 60),
        ("live_runs", 60),
    ],
)
def test_what_is_asked_often_reads_few_pages_and_no_table_from_end_to_end(
    many: Database, name: str, pages: int
) -> None:
    uid = live(many)
    [(claim, attempt)] = many.query("SELECT claim, attempt FROM perdure.runs WHERE id = %s", uid)
    given: dict[str, object] = {
        "runs": [uid], "run": uid, "claim": claim, "observed": attempt, "token": claim, "lock_timeout": "1s",
        "longest_result": MAX_RESULT_BYTES, "longest_error": LONGEST_ERROR, "ending": "evicted", "detail": "",
        "code": None, "signal": None, "backoff_limit": 1, "deadline_seconds": 5.0, "suspend": True, "type": "a:B",
        "patience": 60.0, "message": "c", "namespace": "shop", "name": "new", "entrypoint": "a:b", "input": "{}",
        "source": None, "at_once": False, "counted": [], "claims": [], "steps": [], "disruption_limit": 20,
    }  # fmt: skip
    if name == "insert_run":
        given["id"] = UUID(int=1)
    nodes = plan(many, name, given)
    whole = {node.get("Relation Name") for node in nodes if node["Node Type"] == "Seq Scan"}
    assert whole <= {"meta", "processes"}, "processes is as narrow as what runs"
    read = nodes[0]["Shared Hit Blocks"] + nodes[0]["Shared Read Blocks"]
    assert read <= pages, f"{read} pages"


@pytest.mark.parametrize(("name", "index"), [("count_runs", "runs_kept"), ("ended_runs", "runs_kept")])
def test_what_looks_at_every_workflows_run_passes_over_those_of_others(many: Database, name: str, index: str) -> None:
    assert index in {node.get("Index Name") for node in plan(many, name, {})}


@pytest.mark.parametrize(("name", "deleted"), [("delete_gone_steps", 50), ("delete_gone_runs", 0)])
def test_retention_finds_what_is_old_by_its_index(many: Database, name: str, deleted: int) -> None:
    """Of each of those runs there are steps, and so none of them goes yet."""
    nodes = plan(many, name, {"seconds": 7 * 86400.0, "batch": 50})
    assert "runs_gone" in {node.get("Index Name") for node in nodes}
    assert not any(node["Node Type"] == "Seq Scan" for node in nodes)
    table = name.removeprefix("delete_gone_")
    [node] = [node for node in nodes if (node["Node Type"], node.get("Relation Name")) == ("ModifyTable", table)]
    assert node["Actual Rows"] == deleted


@asynchronous
async def test_ten_thousand_runs_are_seen_and_listed_in_seconds(many: Database) -> None:
    uids = [uid for (uid,) in many.query("SELECT id FROM perdure.runs WHERE owner = %s AND gone IS NULL", OWNER)]
    async with opened(many.url) as store:
        since = time.monotonic()
        seen = await asyncio.gather(*[store.observe(uid) for uid in uids])
        assert all(one.run is not None for one in seen)
        assert len(await store.ended_runs()) == RUNS - RUNS // 100
        assert len((await store.active_runs())[1]) == RUNS // 100
        assert time.monotonic() - since < 15


@asynchronous
async def test_ten_thousand_processes_are_read_with_one_statement(many: Database) -> None:
    liveness = Liveness(many.url, OWNER, lambda _: None)
    many.server.reset_statements()
    await liveness._look()
    [before] = [n for text, n in many.server.statements(many.name).items() if "processes" in text]
    since = time.monotonic()
    await liveness._look()
    assert time.monotonic() - since < 2
    [after] = [n for text, n in many.server.statements(many.name).items() if "processes" in text]
    assert (before, after, liveness.watched) == (1, 2, RUNS // 100)
    await liveness._connections.close()
