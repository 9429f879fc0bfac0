"""A worker that is held by SIGSTOP loses its runs after its lease, and nothing that it does afterwards is accepted."""

from __future__ import annotations

import pytest

from tests.harness.eventually import eventually
from tests.integration.worker.fleet import Fleet


@pytest.mark.parametrize("workflow", ["flows:gated", "flows:async_gated"])
def test_stopped_and_continued(fleet: Fleet, workflow: str) -> None:
    first = fleet.worker()
    run = fleet.client.start(workflow, id="gated", input={"gate": "gate"})
    [before] = fleet.wait_for("at the gate")
    second = fleet.worker()
    first.pause(group=False)
    again = fleet.wait_for("at the gate", 2)[1]
    assert (again["pid"], again["attempt"]) == (second.pid, 2)

    fleet.open("gate")
    assert run.result(timeout=10) == 3
    rows = fleet.database.query("SELECT * FROM perdure.steps ORDER BY ordinal")
    ending = fleet.database.query("SELECT * FROM perdure.runs")
    first.resume(group=False)
    # The first worker's step ends, too, after all.
    through = fleet.wait_for("through the gate", 2)
    assert {event["pid"] for event in through} == {first.pid, second.pid}
    assert before["pid"] == first.pid
    eventually(lambda: "another attempt owns" in first.errors)
    assert fleet.database.query("SELECT * FROM perdure.steps ORDER BY ordinal") == rows
    assert fleet.database.query("SELECT * FROM perdure.runs") == ending
    assert [event["key"] for event in fleet.events("tick")] == ["tick", "tick#2"] or workflow != "flows:gated"

    # It works on as before.
    assert fleet.client.start("flows:count", id="next", input={"steps": 2}).result(timeout=10) == 1
    assert first.running()
