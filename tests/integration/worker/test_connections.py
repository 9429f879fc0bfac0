"""How many connections a worker takes: no more than it was told, whatever its runs do, and few while it rests."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from perdure.errors import RunWasCancelled
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.integration.worker.fleet import Fleet


def _held(database: Database) -> int:
    """Connections of workers: all but the test's own and its client's."""
    [(count,)] = database.query(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND application_name LIKE 'perdure%' AND application_name <> 'perdure client'"
    )
    return int(count)


@contextmanager
def _watched(database: Database):
    """Collects how many were seen while something goes on."""
    seen: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            seen.append(_held(database))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("workflow", ["flows:booking", "flows:async_booking"])
def test_database_steps_of_many_runs(fleet: Fleet, workflow: str) -> None:
    """60 of them, of which each pinned a connection until its attempt ended."""
    fleet.worker(max_connections=16, threads=100)
    with _watched(fleet.database) as seen:
        runs = [fleet.client.start(workflow, id=f"run-{n}", input={"gate": "gate"}) for n in range(60)]
        fleet.wait_for("at the gate", 60, deadline=30)
        assert _held(fleet.database) <= 16
        fleet.open("gate")
        for run in runs:
            run.result(timeout=30)
    assert 0 < max(seen) <= 16


@pytest.mark.slow
def test_a_worker_that_rests_gives_connections_back(fleet: Fleet) -> None:
    fleet.worker(max_connections=40)
    runs = [fleet.client.start("flows:booking", id=f"run-{n}", input={"gate": "gate"}) for n in range(25)]
    fleet.open("gate")
    for run in runs:
        run.result(timeout=30)
    # One each for claims and notifications, and what endings and checkpoints of threads were written on.
    eventually(lambda: _held(fleet.database) <= 4, deadline=25)


def test_one_place_for_all(fleet: Fleet) -> None:
    fleet.worker(max_connections=12)
    fleet.open("gate")
    runs = [
        fleet.client.start(f"flows:{kind}", id=f"{kind}-{n}", input={"gate": "gate"})
        for n in range(10)
        for kind in ("booking", "async_booking")
    ]
    for run in runs:
        run.result(timeout=30)


def test_a_step_that_waits_for_a_place_can_be_cancelled(fleet: Fleet) -> None:
    fleet.worker(max_connections=12)
    fleet.client.start("flows:long_booking", id="first", input={"pause": 20.0})
    eventually(lambda: fleet.database.query("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"))
    for kind in ("booking", "async_booking"):
        waiting = fleet.client.start(f"flows:{kind}", id=kind, input={"gate": "gate"})
        eventually(lambda kind=kind: fleet.client.get(kind).state == "running")  # type: ignore[misc]
        waiting.cancel()
        with pytest.raises(RunWasCancelled):
            waiting.result(timeout=5)


def test_steps_that_wait_for_each_other_hold_nobody_for_ever(fleet: Fleet) -> None:
    """The first one has the only place, and waits for what comes after the second one's step."""
    fleet.worker(max_connections=12)
    fleet.client.start("flows:idling", id="first", input={"gate": "never"})
    fleet.wait_for("idle")
    second = fleet.client.start("flows:booking", id="second", input={"gate": "gate"})
    fleet.open("gate")
    second.result(timeout=10)
    assert fleet.client.get("first").state == "running"


def test_what_a_step_sets_in_its_session_is_no_other_runs(fleet: Fleet) -> None:
    fleet.worker(max_connections=12)
    assert fleet.client.start("flows:setting", id="first", input={}).result(timeout=10) == "elsewhere"
    assert "elsewhere" not in fleet.client.start("flows:looking", id="second", input={}).result(timeout=10)
