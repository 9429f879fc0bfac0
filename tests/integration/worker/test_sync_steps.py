"""Sync steps of async workflows: while one's outcome cannot be stored, other runs of the worker go on."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from perdure import RunFailed
from tests.harness.eventually import eventually
from tests.integration.worker.fleet import Fleet

STALL = 1.5
"""Seconds that other runs may stand, on a loaded machine. It was as long as the row is locked."""


def ticks(fleet: Fleet, run: str) -> list[float]:
    return [event["at"] for event in fleet.events("tick") if event["run"] == run]


def longest_gap(times: list[float]) -> float:
    return max(after - before for before, after in itertools.pairwise(times))


def stored(fleet: Fleet, run: str) -> list[str]:
    rows = fleet.database.query(
        "SELECT s.step_key FROM perdure.steps s JOIN perdure.runs r ON r.id = s.run_id WHERE r.name = %s"
        " ORDER BY s.ordinal",
        run,
    )
    return [key for (key,) in rows]


@contextmanager
def locked(fleet: Fleet, run: str) -> Iterator[None]:
    with fleet.database.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM perdure.runs WHERE name = %s FOR UPDATE", [run])
        yield


@pytest.mark.parametrize(
    ("then", "result", "keys"),
    [
        ("end", 1, ["held_tick"]),
        ("async", 3, ["held_tick", "async_tick#2"]),
        ("sync", 3, ["held_tick", "held_tick#2"]),
        ("thread", 3, ["held_tick", "1/held_tick"]),
        ("now", 3, ["held_tick"]),
    ],
)
def test_other_runs_go_on_while_a_row_is_locked(fleet: Fleet, then: str, result: int, keys: list[str]) -> None:
    fleet.worker(lease=30)
    run = fleet.client.start("flows:sync_steps", id="held", input={"gate": "gate", "then": then})
    other = fleet.client.start("flows:async_count", id="other", input={"steps": 1_000_000, "pause": 0.002})
    eventually(lambda: stored(fleet, "held") == ["async_tick"])
    eventually(lambda: len(ticks(fleet, "other")) > 20)
    with locked(fleet, "held"):
        fleet.open("gate")
        eventually(lambda: len(ticks(fleet, "held")) == 2)
        until = time.monotonic() + 3
        eventually(lambda: (ticks(fleet, "other") or [0])[-1] > until)
        assert len(ticks(fleet, "held")) == 2, "no body begins before the earlier outcome is stored"
        assert stored(fleet, "held") == ["async_tick"]
    assert run.result(timeout=15) == result
    assert longest_gap(ticks(fleet, "other")) < STALL
    assert stored(fleet, "held") == ["async_tick", *keys]
    assert len(ticks(fleet, "held")) == 2 + (then not in ("end", "now")), "each body ran once"
    ends = [ending for _, ending in fleet.attempts() if ending is not None]
    assert ends == (["released", "completed"] if then == "sync" else ["completed"])
    other.cancel()


def test_nothing_that_came_later_is_stored_before(fleet: Fleet) -> None:
    fleet.worker(lease=30)
    run = fleet.client.start("flows:sync_among_tasks", id="held", input={"gate": "gate"})
    eventually(lambda: stored(fleet, "held") == ["async_tick"])
    with locked(fleet, "held"):
        fleet.open("gate")
        eventually(lambda: len(ticks(fleet, "held")) == 3)
        time.sleep(1.5)  # the step of the other task has ended
    assert run.result(timeout=15) == [2, 0]
    assert stored(fleet, "held") == ["async_tick", "held_tick", "1/async_tick"]


def test_a_worker_that_dies_meanwhile_runs_the_step_again(fleet: Fleet) -> None:
    first = fleet.worker()
    run = fleet.client.start("flows:sync_steps", id="held", input={"gate": "gate", "then": "async"})
    eventually(lambda: stored(fleet, "held") == ["async_tick"])
    with locked(fleet, "held"):
        fleet.open("gate")
        eventually(lambda: len(ticks(fleet, "held")) == 2)
        first.kill_group()
    fleet.worker()
    assert run.result(timeout=20) == 3
    assert stored(fleet, "held") == ["async_tick", "held_tick", "async_tick#2"]
    # Its statement may have outlived it; else the step runs again, as one in flight.
    assert len(ticks(fleet, "held")) in (3, 4)


def test_a_run_that_was_taken_over_meanwhile_does_nothing_more(fleet: Fleet) -> None:
    fleet.worker(lease=30)
    fleet.client.start("flows:sync_steps", id="held", input={"gate": "gate", "then": "async"})
    other = fleet.client.start("flows:async_count", id="other", input={"steps": 300, "pause": 0.01})
    eventually(lambda: stored(fleet, "held") == ["async_tick"])
    with fleet.database.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM perdure.runs WHERE name = 'held' FOR UPDATE")
        fleet.open("gate")
        eventually(lambda: len(ticks(fleet, "held")) == 2)
        holder.execute(
            "UPDATE perdure.runs SET claim = gen_random_uuid(), token = gen_random_uuid(), attempt = attempt + 1"
            " WHERE name = 'held'"
        )
    assert other.result(timeout=20) == sum(range(300))
    assert stored(fleet, "held") == ["async_tick"]
    assert len(ticks(fleet, "held")) == 2


def test_a_value_that_the_store_refuses_after_it_was_used(fleet: Fleet) -> None:
    fleet.database.query(
        "ALTER TABLE perdure.steps ADD CONSTRAINT no_one CHECK (name <> 'held_tick' OR result IS NULL"
        " OR result::text <> '1')"
    )
    fleet.worker(lease=30)
    run = fleet.client.start("flows:sync_steps", id="held", input={"gate": "gate", "then": "async"})
    eventually(lambda: stored(fleet, "held") == ["async_tick"])
    with locked(fleet, "held"):
        fleet.open("gate")
        eventually(lambda: len(ticks(fleet, "held")) == 2)
        time.sleep(0.5)
    with pytest.raises(RunFailed, match="Postgres refuses the value"):
        run.result(timeout=15)
    assert stored(fleet, "held") == ["async_tick", "held_tick"], "the error, which the next attempt raised at its place"
    assert len(ticks(fleet, "held")) == 2
    assert [ending for _, ending in fleet.attempts()] == ["released", "completed"]


def test_a_worker_that_stops_meanwhile_stores_it_first(fleet: Fleet) -> None:
    first = fleet.worker(lease=30)
    run = fleet.client.start("flows:sync_steps", id="held", input={"gate": "gate", "then": "async"})
    eventually(lambda: stored(fleet, "held") == ["async_tick"])
    with locked(fleet, "held"):
        fleet.open("gate")
        eventually(lambda: len(ticks(fleet, "held")) == 2)
        first.signal(signal.SIGTERM)
        time.sleep(1)
    first.wait(15)
    assert "held_tick" in stored(fleet, "held")
    fleet.worker(lease=30)
    assert run.result(timeout=20) == 3
    assert len(ticks(fleet, "held")) == 3
