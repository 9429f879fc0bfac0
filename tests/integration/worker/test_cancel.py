"""A cancellation reaches a running async step at once, a sync run between its steps."""

from __future__ import annotations

import time

import pytest

from perdure.errors import RunWasCancelled
from tests.integration.worker.fleet import Fleet


def test_async_step_is_interrupted_at_once(fleet: Fleet) -> None:
    fleet.worker(lease=60)
    run = fleet.client.start("flows:async_gated", id="gated", input={"gate": "gate"})
    fleet.wait_for("at the gate")
    asked = time.monotonic()
    assert run.cancel()
    [cancelled] = fleet.wait_for("cancelled", deadline=5)
    assert cancelled["at"] - asked < 0.5
    with pytest.raises(RunWasCancelled):
        run.result(timeout=5)
    assert fleet.states() == {"cancelled": 1}


def test_sync_run_ends_between_its_steps(fleet: Fleet) -> None:
    fleet.worker(lease=60)
    run = fleet.client.start("flows:gated", id="gated", input={"gate": "gate"})
    fleet.wait_for("at the gate")
    assert run.cancel()
    fleet.wait_for("told", deadline=5)
    fleet.open("gate")
    with pytest.raises(RunWasCancelled):
        run.result(timeout=5)
    assert [event["key"] for event in fleet.events("tick")] == ["tick"], "no further step began"
    assert fleet.database.query("SELECT count(*) FROM perdure.steps") == [(2,)], "the one in flight is kept"


def test_heartbeat_tells_where_nobody_is_notified(fleet: Fleet) -> None:
    fleet.worker(direct_url=fleet.database.url.replace("/migrated", "/no_such_"), lease=1.0)
    run = fleet.client.start("flows:async_gated", id="gated", input={"gate": "gate"})
    fleet.wait_for("at the gate")
    assert run.cancel()
    with pytest.raises(RunWasCancelled):
        run.result(timeout=5)
