"""10,000 Workflows at rest, most of them finished, some running: how soon an operator is in sync, and what it costs.

The running ones were started by an operator that has ended; the finished ones are written to the API and to the store
as a run leaves them. Every round starts an operator anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from uuid import uuid4

from benchmarks.cluster.api_counters import Requests, requests
from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.nodeless import WORKFLOWS, Nodeless
from benchmarks.cluster.stand_in_kubelet import HEARTBEAT
from benchmarks.table import Row, Series
from tests.cluster.api import Json
from tests.harness.eventually import eventually

__all__ = ["rows"]

_STARTS = 3
_STARTS_AIM, _MEMORY_AIM = 30.0, 150.0
_NEAR_NONE = 5.0
"""A second, with a hundred runs to be watched."""

_AT_A_TIME = 8
_SETTLES = 30.0  # seconds from in sync to at rest: everything is compared once more meanwhile
_RESTS = 60.0
_LONGEST = 600.0

_RUNNING = "SELECT count(*) FROM perdure.runs WHERE state = 'running'"
_FILL = """
WITH given AS (SELECT * FROM unnest(%s::uuid[], %s::text[]) AS g (id, name)), runs AS (
    INSERT INTO perdure.runs (id, owner, namespace, name, entrypoint, input, state, attempt, result, started, finished)
    SELECT g.id, r.owner, r.namespace, g.name, r.entrypoint, r.input, 'succeeded', 1, '"hello you"', now(), now()
    FROM given g CROSS JOIN (SELECT * FROM perdure.runs LIMIT 1) r
), steps AS (
    INSERT INTO perdure.steps (run_id, step_key, ordinal, name, attempt, tries, clock, result, started, finished)
    SELECT id, 'greet', 1, 'greet', 1, 1, 1, '"hello you"', now(), now() FROM given
)
INSERT INTO perdure.attempts (run_id, attempt, claim, begun, ended, ending)
SELECT id, 1, gen_random_uuid(), now(), now(), 'completed' FROM given
"""


def rows(ground: ClusterGround, rounds: int, finished: int = 9900, running: int = 100) -> Iterable[Row]:
    """What so many Workflows come to."""
    with Nodeless(ground) as nodeless:
        _start_some(nodeless, running)
        _finish_others(ground, nodeless, finished)
        taken = [_start(nodeless, finished + running) for _ in range(min(rounds, _STARTS))]
    series = {name: Series([one[name] for one in taken]) for name in taken[0]}
    work = f"{finished:,} finished Workflows and {running} running ones"
    starts, memory, asked, stated = (series[name] for name in ("starts", "memory", "requests", "statements"))
    yield Row(
        f"{work}: from an operator's start until it is in sync",
        starts.text("s", 1),
        f"of that, processor time {series['cpu'].text('s', 1)}",
        "",
        f"{_STARTS_AIM:.0f} s",
        starts.median <= _STARTS_AIM,
    )
    yield Row(
        "its memory after a minute of rest",
        memory.text("MB"),
        f"after its start {series['first memory'].text('MB')}",
        "",
        f"{_MEMORY_AIM:.0f} MB",
        memory.median <= _MEMORY_AIM,
    )
    yield Row(
        "its requests to the API at rest, a second",
        asked.text("", 2),
        f"without those for its Lease {series['without lease'].text('', 2)}",
        "",
        "near none",
        asked.median <= _NEAR_NONE,
    )
    yield Row(
        "its statements at rest, a second",
        stated.text("", 2),
        f"without the look at {running} heartbeats {series['without heartbeats'].text('', 2)}",
        "",
        "near none",
        stated.median <= _NEAR_NONE,
    )
    yield Row("its processor time at rest", series["share"].text("% of a core", 1))


def _start_some(nodeless: Nodeless, running: int) -> None:
    operator = nodeless.operator()
    operator.until_leading()
    nodeless.stand_in_kubelet(hold=True)
    nodeless.client("apply", running, _AT_A_TIME).wait(_LONGEST)
    eventually(lambda: nodeless.database.query(_RUNNING) == [(running,)], _LONGEST, every=0.2)
    eventually(lambda: not nodeless.list("workflows", fieldSelector="status.phase!=Running", limit="1"), 60, every=0.2)
    operator.stop()


def _finish_others(ground: ClusterGround, nodeless: Nodeless, finished: int) -> None:
    ground.say(f"{finished} finished Workflows are being made")
    [(store,)] = nodeless.database.query("SELECT store_id::text FROM perdure.meta")
    client = nodeless.client("finished", finished, _AT_A_TIME, json.dumps(_status(store)))
    assert client.wait(_LONGEST) == 0, client
    made = [one["metadata"] for one in _all(nodeless) if one["metadata"]["name"].startswith("done-")]
    nodeless.database.query(_FILL, [one["uid"] for one in made], [one["name"] for one in made])
    nodeless.database.query("VACUUM ANALYZE")


def _all(nodeless: Nodeless) -> Iterator[Json]:
    query = {"limit": "500"}
    while True:
        page = nodeless.api.get(WORKFLOWS, **query)
        yield from page["items"]
        if not (following := page["metadata"].get("continue")):
            return
        query["continue"] = following


def _status(store: str) -> Json:
    """What a run that succeeded leaves in its Workflow."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"reason": "Succeeded", "message": "the run returned a result", "lastTransitionTime": now}
    return {
        "observedGeneration": 1,
        "storeId": store,
        "phase": "Succeeded",
        "conditions": [
            {"type": name, "status": "True", "observedGeneration": 1, **told} for name in ("Finished", "Succeeded")
        ],
        "startTime": now,
        "completionTime": now,
        "attempts": 1,
        "steps": {"completed": 1},
        "podName": f"done-{uuid4().hex[:8]}-1",
        "result": "hello you",
    }


def _start(nodeless: Nodeless, workflows: int) -> dict[str, float]:
    began = time.monotonic()
    operator = nodeless.operator()
    operator.until_leading()
    eventually(
        lambda: operator.metric("workflows") == workflows and operator.metric("queue_depth") == 0, _LONGEST, every=0.1
    )
    figures = {
        "starts": time.monotonic() - began,
        "cpu": nodeless.cpu()["operator"],
        "first memory": nodeless.resident("operator"),
    }
    time.sleep(_SETTLES)
    figures |= _at_rest(nodeless)
    figures["memory"] = nodeless.resident("operator")
    operator.check()
    operator.stop()
    return figures


def _at_rest(nodeless: Nodeless) -> dict[str, float]:
    """What is asked in a minute, and what that minute costs the operator."""
    cpu, asked, began = nodeless.cpu()["operator"], requests(nodeless.api), time.monotonic()
    nodeless.server.reset_statements()
    time.sleep(_RESTS)
    stated = nodeless.server.statements(nodeless.database.name)
    seconds = time.monotonic() - began
    made, share = requests(nodeless.api) - asked, (nodeless.cpu()["operator"] - cpu) / seconds
    ours = {text: count for text, count in stated.items() if HEARTBEAT not in text}
    watching = sum(count for text, count in ours.items() if "perdure.processes p WHERE p.owner" in text)
    return {
        "requests": _by_anybody(made) / seconds,
        "without lease": _by_anybody(made, "leases") / seconds,
        "statements": sum(ours.values()) / seconds,
        "without heartbeats": (sum(ours.values()) - watching) / seconds,
        "share": 100 * share,
    }


def _by_anybody(made: Requests, *but: str) -> int:
    """Requests for objects that the operator deals with, whoever made them: there is nobody else."""
    theirs = ("workflows", "pods", "events", "configmaps", "leases", "namespaces")
    return sum(
        count
        for what, count in made.items()
        if (resource := what.split()[1].partition("/")[0]) in theirs and resource not in but
    )
