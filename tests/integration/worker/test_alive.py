"""What is no death: an interpreter that is held, a store that is away, a clock that jumps."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.harness.databases import Databases
from tests.harness.eventually import eventually
from tests.harness.postgres import Servers
from tests.harness.processes import Children
from tests.harness.workspace import Workspace
from tests.integration.conftest import _migrate
from tests.integration.worker.fleet import LEASE, Fleet


def test_user_code_that_holds_the_interpreter(fleet: Fleet) -> None:
    fleet.worker()
    run = fleet.client.start("flows:greedy", id="greedy", input={"seconds": int(3 * LEASE)})
    [held] = fleet.wait_for("holds")
    other = fleet.worker(elsewhere=True)
    assert run.result(timeout=20) == "done"
    assert time.monotonic() - held["at"] >= 3 * LEASE
    assert other.running()
    assert fleet.attempts() == [(1, "completed")]
    # The other one watched all the time: it does take over what is dead.
    assert len(fleet.events("holds")) == 1


def gated_runs(fleet: Fleet, count: int) -> None:
    for n in range(count):
        workflow = "flows:async_gated" if n % 2 else "flows:gated"
        fleet.client.start(workflow, id=f"run-{n}", input={"gate": "gate"})
    fleet.wait_for("at the gate", count)


def two_workers(fleet: Fleet, **options: Any) -> None:
    """Workers on different hosts, each of which holds runs."""
    fleet.worker(**options)
    fleet.worker(elsewhere=True, **options)


def all_end_in_their_first_attempt(fleet: Fleet, count: int) -> None:
    fleet.open("gate")
    fleet.wait_until_all("succeeded")
    assert fleet.attempts() == [(1, "completed")] * count
    assert len(fleet.events("at the gate")) == count


def away(fleet: Fleet, seconds: float, count: int) -> None:
    two_workers(fleet, concurrency=count * 2 // 5, threads=count * 2 // 5)
    gated_runs(fleet, count)
    fleet.client.close()
    fleet.database.server.stop()
    gone = time.monotonic()
    eventually(lambda: time.monotonic() - gone >= seconds, deadline=seconds + 1, every=0.1)
    fleet.database.server.start()
    # Long enough for a death to be seen, if there were one.
    back = time.monotonic()
    eventually(lambda: time.monotonic() - back >= 1.5 * LEASE, deadline=2 * LEASE, every=0.1)
    all_end_in_their_first_attempt(fleet, count)


def test_postgres_is_stopped_for_more_than_two_leases(own_fleet: Fleet) -> None:
    away(own_fleet, 2.5 * LEASE, 10)


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_postgres_is_stopped_for_a_minute_with_100_live_runs(own_fleet: Fleet) -> None:
    away(own_fleet, 60.0, 100)


def test_postgres_is_paused_for_more_than_two_leases(own_fleet: Fleet) -> None:
    two_workers(own_fleet)
    gated_runs(own_fleet, 4)
    own_fleet.database.server.pause()
    paused = time.monotonic()
    eventually(lambda: time.monotonic() - paused >= 2.5 * LEASE, deadline=10, every=0.1)
    own_fleet.database.server.resume()
    eventually(lambda: time.monotonic() - paused >= 4 * LEASE, deadline=10, every=0.1)
    all_end_in_their_first_attempt(own_fleet, 4)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_the_servers_clock_jumps_an_hour(
    servers: Servers, children: Children, workspace: Workspace, jump: float
) -> None:
    server = servers.embedded(clock=True)
    fleet = Fleet(Databases(server, _migrate).new(), children, workspace.new_folder("flows"))
    two_workers(fleet)
    gated_runs(fleet, 4)
    server.clock.set_offset(jump)
    jumped = time.monotonic()
    eventually(lambda: time.monotonic() - jumped >= 2 * LEASE, deadline=10, every=0.1)
    # What was started before the jump and what is started after it.
    fleet.client.start("flows:async_gated", id="later", input={"gate": "gate"})
    fleet.wait_for("at the gate", 5)
    all_end_in_their_first_attempt(fleet, 5)
    fleet.close()
