"""Pools, timeouts, generators and threads in workflows whose process is killed: another goes on to the same result."""

from __future__ import annotations

import pytest

from tests.integration.worker.fleet import Fleet


@pytest.mark.parametrize(
    ("flow", "result", "ticks"),
    [("pooled", 6, 5), ("too_late", "late 2 1", 2), ("leaves_a_generator", 113, 5), ("computes_in_threads", 3, 3)],
)
def test_it_goes_on_in_another_process(fleet: Fleet, flow: str, result: object, ticks: int) -> None:
    first = fleet.worker(lease=60)
    run = fleet.client.start(f"flows:{flow}", id=flow, input={"gate": "gate"})
    fleet.wait_for("at the gate")
    first.kill_group()
    fleet.worker(lease=60)
    fleet.wait_for("at the gate", 2)
    fleet.open("gate")
    assert run.result(timeout=20) == result
    keys = [event["key"] for event in fleet.events("tick")]
    assert len(keys) == len(set(keys)) == ticks, "no step with a checkpoint ran again"
    assert fleet.attempts() == [(1, "crashed"), (2, "completed")]
