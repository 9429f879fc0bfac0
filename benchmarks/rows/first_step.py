"""How long a run waits on an idle worker, and what an idle worker asks of Postgres."""

from __future__ import annotations

import time
from collections.abc import Iterable

from benchmarks.contestants import flows
from benchmarks.ground import Ground
from benchmarks.table import Row, Series
from perdure.client import Client

_STARTS = 50
_PAUSE = 0.05
_IDLE = 30.0


def rows(ground: Ground, rounds: int) -> Iterable[Row]:  # noqa: ARG001 - every start is a round
    ours, dbos = ground.perdure(), ground.dbos()
    taken: list[float] = []
    with ground.start("ours:worker", url=ours.url) as worker, Client(ours.url) as client:
        try:
            for number in range(-5, _STARTS):
                begun = time.monotonic()
                first = client.start(flows.first_step).result(60)
                if number >= 0:
                    taken.append((first - begun) * 1e3)
                time.sleep(_PAUSE)
            idle = _idle(ground, ours.name)
        finally:
            worker.terminate()
    theirs = Series(list(ground.measure("dbos_peer:first_steps", url=dbos.url, count=10).values()))
    with ground.start("dbos_peer:idle", url=dbos.url) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            dbos_idle = _idle(ground, dbos.name)
        finally:
            process.kill()
    series = Series(taken)
    yield Row(
        "from `Client.start` to the first step, on an idle worker",
        series.text("ms", 1),
        f"dbos, queue with defaults {theirs.text('ms')}",
        f"{theirs.median / series.median:.0f}",
        "10 ms",
        series.median <= 10,
    )
    yield Row(
        "statements per second of an idle worker",
        f"{idle:.2f}",
        f"dbos, one queue {dbos_idle:.1f}",
        f"{idle / dbos_idle:.3f}",
        "0.5",
        idle <= 0.5,
    )


def _idle(ground: Ground, database: str) -> float:
    ground.server.reset_statements()
    time.sleep(_IDLE)
    return sum(ground.server.statements(database).values()) / _IDLE
