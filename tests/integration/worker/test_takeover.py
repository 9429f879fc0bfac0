"""A dead worker's runs go on in another: at once where the death is seen, within its lease where it is not."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.harness.eventually import eventually
from tests.integration.worker.fleet import LEASE, Fleet


def held_by_first(fleet: Fleet, **options: Any):
    first = fleet.worker(**options)
    run = fleet.client.start("flows:gated", id="gated", input={"gate": "gate"})
    fleet.wait_for("at the gate")
    return first, run


def goes_on(fleet: Fleet, run, within: float, ending: str) -> None:
    began = time.monotonic()
    again = fleet.wait_for("at the gate", 2, deadline=within + 10)[1]
    fleet.open("gate")
    assert run.result(timeout=10) == 3
    assert again["at"] - began < within
    assert [event["key"] for event in fleet.events("tick")] == ["tick", "tick#2"], "no step with a checkpoint ran again"
    assert fleet.attempts() == [(1, ending), (2, "completed")]


def test_killed_worker_whose_heartbeat_process_lives(fleet: Fleet) -> None:
    first, run = held_by_first(fleet, lease=60)
    fleet.worker(lease=60)
    first.kill()
    goes_on(fleet, run, 3.0, "crashed")


def test_killed_process_group_on_the_same_host(fleet: Fleet) -> None:
    first, run = held_by_first(fleet, lease=12)
    fleet.worker(lease=12)
    first.kill_group()
    goes_on(fleet, run, 5.0, "crashed")


@pytest.mark.needs("unshare")
def test_killed_process_group_on_another_host(fleet: Fleet) -> None:
    first, run = held_by_first(fleet, elsewhere=True)
    fleet.worker()
    first.kill_group()
    eventually(lambda: not first.descendants())
    goes_on(fleet, run, 1.95 * LEASE, "lost")  # one lease, and what a busy machine takes beside it, but not two


def test_worker_that_starts_after_the_death(fleet: Fleet) -> None:
    first, run = held_by_first(fleet, lease=60)
    first.kill_group()
    fleet.worker(lease=60)
    goes_on(fleet, run, 4.0, "crashed")


def test_many_runs_are_taken_over_in_bulk(fleet: Fleet) -> None:
    first = fleet.worker(lease=60)
    runs = [
        fleet.client.start("flows:gated_between", id=f"run-{n}", input={"gate": "gate", "before": 5, "after": 5})
        for n in range(200)
    ]
    fleet.wait_for("at the gate", 200)
    second = fleet.worker(lease=60)
    first.kill_group()
    fleet.open("gate")
    for run in runs:
        assert run.result(timeout=30) == 20
    ticks = [(event["run"], event["key"]) for event in fleet.events("tick")]
    assert len(ticks) == len(set(ticks)) == 2000
    assert second.running()


def test_no_process_rows_stay_behind(fleet: Fleet) -> None:
    first, run = held_by_first(fleet, lease=60)
    second = fleet.worker(lease=60)
    first.kill()
    goes_on(fleet, run, 3.0, "crashed")
    second.signal(signal.SIGTERM)
    assert second.wait() == 0
    assert fleet.database.query("SELECT pid FROM perdure.processes") == []
