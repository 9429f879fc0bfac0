"""How many statements a step and a run take, by Postgres's own count."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.contestants import flows
from benchmarks.ground import Database, Ground
from benchmarks.table import Row
from perdure.client import Client

_RUNS = 20
_STEPS = 100
_SURVEY = "holders AS"
"""Part of what a worker asks every few seconds, however many runs there are; the row of the idle worker counts it."""

_WAITING = "state, result::text"
"""Part of what a client asks that waits for a result."""


def rows(ground: Ground, rounds: int) -> Iterable[Row]:  # noqa: ARG001 - a count does not vary as a time does
    one, many = _perdure(ground, 1), _perdure(ground, 1 + _STEPS)
    dbos_one, dbos_many = _dbos(ground, 1), _dbos(ground, 1 + _STEPS)
    step, dbos_step = (_total(many) - _total(one)) / _STEPS, (_total(dbos_many) - _total(dbos_one)) / _STEPS
    yield Row(
        "statements per step",
        f"{step:.2f}",
        f"dbos {dbos_step:.2f}",
        f"{step / dbos_step:.2f}",
        "1",
        round(step, 1) <= 1,
    )
    waiting = sum(calls for text, calls in one.items() if _WAITING in text)
    run = _total(one) - waiting
    yield Row(
        "statements per one-step workflow",
        f"{run:.2f}, and {waiting:.2f} for who waits for its result",
        f"dbos {_total(dbos_one):.2f}, waited for",
        f"{_total(one) / _total(dbos_one):.2f}",
        "4",
        round(run, 1) <= 4,
    )


def _total(statements: dict[str, float]) -> float:
    return sum(statements.values())


def _perdure(ground: Ground, steps: int) -> dict[str, float]:
    """Statements of one run of so many steps, started and waited for while a worker stands idle, on average."""
    database = ground.perdure()
    with ground.start("ours:worker", url=database.url) as worker, Client(database.url) as client:
        try:
            for _ in range(3):
                client.start(flows.many_moments, steps).result(60)
            ground.server.reset_statements()
            for _ in range(_RUNS):
                client.start(flows.many_moments, steps).result(60)
            return _statements(ground, database)
        finally:
            worker.terminate()


def _dbos(ground: Ground, steps: int) -> dict[str, float]:
    database = ground.dbos()
    ground.measure("dbos_peer:one_step_runs", url=database.url, count=1, steps=steps)
    counts: list[dict[str, float]] = []
    for count in (1, 1 + _RUNS):
        ground.server.reset_statements()
        ground.measure("dbos_peer:one_step_runs", url=database.url, count=count, steps=steps)
        counts.append(dict(ground.server.statements(database.name)))
    launch, all_of_it = counts
    return {text: (calls - launch.get(text, 0)) / _RUNS for text, calls in all_of_it.items()}


def _statements(ground: Ground, database: Database) -> dict[str, float]:
    counted = ground.server.statements(database.name).items()
    return {text: calls / _RUNS for text, calls in counted if _SURVEY not in text}
