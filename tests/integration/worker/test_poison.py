"""A run that kills every process it gets stops at its backoff limit; those who share its processes do not."""

from __future__ import annotations

import time

import pytest

from perdure.errors import BackoffLimitExceeded, ResultTimeout, RunFailed
from tests.harness.eventually import eventually
from tests.integration.worker.fleet import Fleet


@pytest.mark.slow
def test_poison_among_innocents(fleet: Fleet) -> None:
    innocents = [
        fleet.client.start("flows:async_count", id=f"innocent-{n}", input={"steps": 3, "pause": 1.0}) for n in range(6)
    ]
    poison = fleet.client.start("flows:poison", id="poison", backoff_limit=3)
    workers = [fleet.worker()]

    def failed() -> bool:
        ended = fleet.states()["failed"] == 1
        # What restarts a worker that died: also the last one that did.
        if not workers[-1].running():
            workers.append(fleet.worker())
        return ended

    eventually(failed, deadline=40, every=0.05)
    for innocent in innocents:
        assert innocent.result(timeout=20) == 3
    assert len(fleet.events("dies")) == 4
    with pytest.raises(RunFailed, match="4 attempts in a row ended in a crash") as ending:
        poison.result(timeout=1)
    assert isinstance(ending.value.__cause__, BackoffLimitExceeded)
    [(worst,)] = fleet.database.query("SELECT max(crashes) FROM perdure.runs WHERE name <> 'poison'")
    assert worst <= 2, "they were with it for no longer than it was beyond suspicion"


def test_suspect_is_alone_until_it_checkpoints(fleet: Fleet) -> None:
    suspect = fleet.client.start("flows:gate_first", id="suspect", input={"gate": "first"})
    # As after two crashes without a checkpoint.
    fleet.database.query("UPDATE perdure.runs SET crashes = 2")
    fleet.worker()
    fleet.wait_for("at the gate")
    other = fleet.client.start("flows:async_count", id="other", input={"steps": 2})
    with pytest.raises(ResultTimeout):
        other.result(timeout=1.0)
    assert fleet.states() == {"running": 1, "pending": 1}
    fleet.open("first")
    assert other.result(timeout=5) == 1
    # It has checkpointed, and goes on beside others.
    assert fleet.states() == {"running": 1, "succeeded": 1}
    fleet.open("first, again")
    assert suspect.result(timeout=5) == 1


@pytest.mark.slow
def test_suspects_with_long_steps_leave_others_their_turn(fleet: Fleet) -> None:
    """Each of them stays in its first step for as long as the test takes."""
    suspects = [fleet.client.start("flows:gate_first", id=f"suspect-{n}", input={"gate": "first"}) for n in range(4)]
    fleet.database.query("UPDATE perdure.runs SET crashes = 2")
    fleet.worker()
    fleet.wait_for("at the gate")
    began = time.monotonic()
    fleet.client.start("flows:count", id="other", input={"steps": 1}).result(timeout=20)
    assert time.monotonic() - began < 12
    # From here on they keep nobody out: no second one would be alone.
    began = time.monotonic()
    fleet.client.start("flows:count", id="another", input={"steps": 1}).result(timeout=20)
    assert time.monotonic() - began < 2
    assert fleet.states() == {"running": 1, "pending": 3, "succeeded": 2}
    fleet.open("first")
    fleet.open("first, again")
    for suspect in suspects:
        assert suspect.result(timeout=30) == 1
