"""Runs that sleep in a worker: the sleep goes on over a worker's death, and keeps none from stopping."""

from __future__ import annotations

import signal

import pytest

from tests.harness.eventually import eventually
from tests.integration.worker.fleet import Fleet

WORKFLOWS = ["flows:naps", "flows:async_naps"]


def stored(fleet: Fleet) -> int:
    [(count,)] = fleet.database.query("SELECT count(*) FROM perdure.steps")
    return int(count)


def seconds_since_begin(fleet: Fleet) -> float:
    [(seconds,)] = fleet.database.query(
        "SELECT extract(epoch FROM clock_timestamp() - started)::double precision FROM perdure.runs"
    )
    return float(seconds)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_the_sleep_of_a_dead_workers_run_goes_on(fleet: Fleet, workflow: str) -> None:
    first = fleet.worker(lease=60)
    run = fleet.client.start(workflow, id="nap", input={"seconds": 6.0})
    eventually(lambda: stored(fleet) == 1)
    first.kill_group()
    eventually(lambda: seconds_since_begin(fleet) > 3, 10)  # nobody runs
    fleet.worker(lease=60)

    assert run.result(timeout=20) == 2
    slept = [event["at"] for event in fleet.events("tick")]
    assert 5.9 < slept[1] - slept[0] < 8.5
    [(first_, second)] = fleet.database.query("SELECT min(clock), max(clock) FROM perdure.steps")
    assert second - first_ >= 6_000_000


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_worker_stops_at_once_though_its_run_sleeps(fleet: Fleet, workflow: str) -> None:
    first = fleet.worker(lease=60)
    fleet.client.start(workflow, id="nap", input={"seconds": 3600.0})
    eventually(lambda: stored(fleet) == 1)
    first.signal(signal.SIGTERM)
    assert first.wait(8) == 0
    assert fleet.attempts() == [(1, "released")]
    assert fleet.states() == {"pending": 1}
