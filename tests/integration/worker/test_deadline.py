"""A run that has not ended by its deadline fails, whether it heeds that or not."""

from __future__ import annotations

import pytest

from perdure.errors import DeadlineExceeded, RunFailed
from tests.harness.eventually import eventually
from tests.integration.worker.fleet import Fleet


@pytest.mark.parametrize("workflow", ["flows:async_gated", "flows:gated"])
def test_deadline_in_the_middle_of_a_step(fleet: Fleet, workflow: str) -> None:
    fleet.worker(lease=60)
    run = fleet.client.start(workflow, id="late", input={"gate": "gate"}, deadline=1.0)
    with pytest.raises(RunFailed) as failed:
        run.result(timeout=10)
    assert isinstance(failed.value.__cause__, DeadlineExceeded)
    assert fleet.states() == {"failed": 1}
    assert fleet.client.start("flows:count", id="next", input={"steps": 2}).result(timeout=10) == 1


def test_deadline_that_is_over_before_the_attempt(fleet: Fleet) -> None:
    run = fleet.client.start("flows:count", id="late", input={"steps": 1}, deadline=1.0)
    fleet.database.query("UPDATE perdure.runs SET started = now() - interval '1 minute'")
    fleet.worker()
    with pytest.raises(RunFailed, match="deadline"):
        run.result(timeout=10)
    assert fleet.events("tick") == []
    eventually(lambda: fleet.attempts() == [(1, "completed")])
