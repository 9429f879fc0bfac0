"""A worker that is told to stop lets the steps in flight finish and releases its runs between steps."""

from __future__ import annotations

import signal

import pytest

from tests.harness.eventually import eventually
from tests.integration.worker.fleet import Fleet


@pytest.mark.parametrize("workflow", ["flows:gated", "flows:async_gated"])
def test_sigterm_releases_between_steps(fleet: Fleet, workflow: str) -> None:
    first = fleet.worker(lease=60)
    run = fleet.client.start(workflow, id="gated", input={"gate": "gate"})
    fleet.wait_for("at the gate")
    first.signal_group(signal.SIGTERM)
    eventually(lambda: "stopping: no more runs are claimed" in first.errors, 15)
    fleet.open("gate")
    assert first.wait() == 0
    assert [event["event"] for event in fleet.events("through the gate")] == ["through the gate"]
    assert fleet.attempts() == [(1, "released")]
    assert fleet.states() == {"pending": 1}
    assert fleet.database.query("SELECT pid FROM perdure.processes") == []
    assert first.descendants() == []

    fleet.worker(lease=60)
    assert run.result(timeout=10) == 3
    assert len(fleet.events("at the gate")) == 1, "its outcome was kept"


def test_second_sigterm_hurries(fleet: Fleet) -> None:
    first = fleet.worker(lease=60)
    fleet.client.start("flows:gated", id="sync", input={"gate": "gate"})
    fleet.client.start("flows:async_gated", id="async", input={"gate": "gate"})
    fleet.wait_for("at the gate", 2)
    first.signal(signal.SIGTERM)
    first.signal(signal.SIGINT)
    assert first.wait(8) == 0
    assert fleet.attempts() == [(1, "released")] * 2
    assert fleet.states() == {"pending": 2}
