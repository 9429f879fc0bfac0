"""What a claim takes: the oldest first, whatever became of them, and no more than fits into an answer."""

from __future__ import annotations

from uuid import UUID, uuid4

import psycopg
import pytest

from perdure.client import Client
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.postgres.statements import statement
from perdure.store.workers.claims import Claims, Entrypoints, FreeSlots
from tests.harness.databases import Database

ENTRYPOINTS = Entrypoints(["flows:async_count", "flows:large"], ["flows:count"])


def claims(database: Database) -> Claims:
    return Claims(database.url, "queue:default", ProcessIdentity(uuid4(), "somewhere", 1, 0), ENTRYPOINTS)


def test_bytes_of_input_bound_a_claim(database: Database) -> None:
    with Client(database.url) as client:
        for n in range(20):
            client.start("flows:large", id=f"run-{n}", input={"text": "x" * 900_000})
    claiming, places = claims(database), FreeSlots(async_runs=100)
    claimed = claiming.claim(places, [])
    assert [run.id for run in claimed.runs] == ["run-0", "run-1", "run-2", "run-3"]
    assert claimed.more
    names = [run.id for run in claimed.runs]
    while (claimed := claiming.claim(places, [])).runs:
        names += [run.id for run in claimed.runs]
    assert names == [f"run-{n}" for n in range(20)]
    assert not claimed.more
    claiming.close()


def test_input_that_is_too_large_by_itself_is_claimed_alone(database: Database) -> None:
    with Client(database.url) as client:
        for n in range(2):
            client.start("flows:large", id=f"run-{n}", input={"text": "x"})
    database.query(
        "UPDATE perdure.runs SET input = json_build_object('text', repeat('x', 9000000)) WHERE name = 'run-0'"
    )
    claiming = claims(database)
    assert [run.id for run in claiming.claim(FreeSlots(async_runs=100), []).runs] == ["run-0"]
    assert [run.id for run in claiming.claim(FreeSlots(async_runs=100), []).runs] == ["run-1"]
    claiming.close()


def _release_run(database: Database, ending: str = "released") -> None:
    database.query(
        f"SELECT perdure.end_attempt(id, claim, '{ending}', NULL, NULL, NULL) FROM perdure.runs WHERE claim IS NOT NULL"
    )


@pytest.mark.parametrize("ending", ["released", "crashed"])
def test_interrupted_run_keeps_its_place(database: Database, ending: str) -> None:
    claiming = claims(database)
    with Client(database.url) as client:
        client.start("flows:async_count", id="first", input={"steps": 1})
        assert [run.id for run in claiming.claim(FreeSlots(async_runs=1), []).runs] == ["first"]
        for n in range(100):
            client.start("flows:async_count", id=f"later-{n}", input={"steps": 1})
    _release_run(database, ending)
    assert [run.id for run in claiming.claim(FreeSlots(async_runs=2), []).runs] == ["first", "later-0"]
    claiming.close()


@pytest.mark.slow
def test_a_claim_among_many_reads_few(database: Database) -> None:
    database.query(
        """INSERT INTO perdure.runs (id, owner, name, entrypoint, input, created, available)
           SELECT gen_random_uuid(), 'queue:default', 'run-' || n,
                  CASE n % 2 WHEN 0 THEN 'flows:async_count' ELSE 'flows:count' END, '{}',
                  now() - interval '1 day' + n * interval '1 millisecond',
                  now() + CASE WHEN n % 1000 = 0 THEN interval '1 hour' ELSE interval '-1 hour' END
           FROM generate_series(1, 100000) n"""
    )
    database.query(
        """INSERT INTO perdure.runs (id, owner, name, entrypoint, input, state)
           SELECT gen_random_uuid(), 'queue:default', 'old-' || n, 'flows:count', '{}', 'succeeded'
           FROM generate_series(1, 20000) n"""
    )
    database.query("VACUUM ANALYZE perdure.runs")
    everything: dict[str, object] = {
        "process": UUID(int=1), "owner": "queue:default", "host": "here", "pid": 1, "pid_started": 0, "where": "here:1",
        "async_entrypoints": ENTRYPOINTS.async_ones, "sync_entrypoints": ENTRYPOINTS.sync_ones, "async_places": 256,
        "sync_places": 64, "suspects": 0, "tokens": [uuid4() for _ in range(320)], "due": [], "bytes": 4_000_000,
        "entrypoints": [*ENTRYPOINTS.async_ones, *ENTRYPOINTS.sync_ones], "full": True, "origins": None,
        "cleaning_entrypoints": [], "cleanup_seconds": [],
    }  # fmt: skip
    for name, most in (("claim_runs", 2000), ("survey", 2000)):
        with psycopg.connect(database.url) as connection:
            [[[plan]]] = connection.execute(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {statement(name)}",
                everything,
            ).fetchall()
            connection.rollback()
        nodes = list(_nodes(plan["Plan"]))
        assert "runs_queue" in {node.get("Index Name") for node in nodes}, plan
        scanned = [n for n in nodes if n.get("Relation Name") == "runs" and "Scan" in n["Node Type"]]
        read = sum((n["Actual Rows"] + n.get("Rows Removed by Filter", 0)) * n["Actual Loops"] for n in scanned)
        assert read < most, (name, read, plan)


def _nodes(plan):
    yield plan
    for child in plan.get("Plans", []):
        yield from _nodes(child)
