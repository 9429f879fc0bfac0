"""A cancelled run whose workflow declares cleanup: under workers its steps run on, whatever dies, for so long."""

from __future__ import annotations

import time

import pytest

from perdure.client import Client
from perdure.errors import RunWasCancelled
from tests.harness.eventually import eventually
from tests.integration.worker.fleet import Fleet


def ticks(fleet: Fleet) -> list[tuple[str, int]]:
    return [(event["key"], event["attempt"]) for event in fleet.events("tick")]


def steps(fleet: Fleet) -> list[str]:
    return [key for (key,) in fleet.database.query("SELECT step_key FROM perdure.steps ORDER BY ordinal")]


@pytest.mark.parametrize(("workflow", "tick"), [("saga", "tick"), ("async_saga", "async_tick")])
def test_compensates_over_the_death_of_its_worker(fleet: Fleet, workflow: str, tick: str) -> None:
    first = fleet.worker()
    run = fleet.client.start(f"flows:{workflow}", id="saga")
    fleet.wait_for("at the gate")
    assert run.cancel()
    if workflow == "saga":
        # A step in flight may finish, or give up by itself.
        fleet.wait_for("told")
        fleet.open("gate")
    fleet.wait_for("at the gate", 2)
    assert fleet.states() == {"running": 1}, "it cleans up"

    first.kill()
    fleet.worker()
    fleet.wait_for("at the gate", 3)
    fleet.open("undo")

    with pytest.raises(RunWasCancelled):
        run.result(timeout=20)
    if workflow == "saga":
        # It was told where it called a step, which did not begin.
        assert ticks(fleet) == [("tick", 1), ("tick#3", 1), ("tick#4", 2)]
        assert steps(fleet) == ["tick", "pass_gate", "perdure.cancel", "tick#3", "pass_gate#2", "tick#4"]
    else:
        assert ticks(fleet) == [("async_tick", 1), ("async_tick#2", 1), ("async_tick#3", 2)]
        before, after = ["async_tick", "perdure.cancel", "async_pass_gate"], ["async_pass_gate#2", "async_tick#3"]
        assert steps(fleet) == [*before, "async_tick#2", *after]
    assert fleet.attempts() == [(1, "crashed"), (2, "completed")]


def test_a_run_that_nobody_holds_is_claimed_for_its_cleanup(fleet: Fleet) -> None:
    first = fleet.worker()
    run = fleet.client.start("flows:async_saga", id="saga")
    fleet.wait_for("at the gate")
    fleet.database.query("UPDATE perdure.runs SET suspend = true RETURNING id")
    first.kill()
    eventually(lambda: fleet.states() == {"pending": 1})

    assert run.cancel()
    assert fleet.states() == {"pending": 1}
    fleet.open("undo")
    fleet.worker()
    with pytest.raises(RunWasCancelled):
        run.result(timeout=20)
    assert ticks(fleet) == [("async_tick", 1), ("async_tick#2", 2), ("async_tick#3", 2)]
    assert len(fleet.events("at the gate")) == 2, "what was in flight is not begun again"


def test_a_run_without_an_attempt_ends_at_once(fleet: Fleet) -> None:
    run = fleet.client.start("flows:async_saga", id="saga")
    assert run.cancel()
    assert fleet.states() == {"cancelled": 1}


def test_cleanup_ends_when_its_time_is_over(fleet: Fleet) -> None:
    fleet.worker()
    run = fleet.client.start("flows:late_saga", id="saga")
    fleet.wait_for("at the gate")
    asked = time.monotonic()
    assert run.cancel()
    with pytest.raises(RunWasCancelled, match="CleanupCut"):
        run.result(timeout=20)
    assert 0.9 < time.monotonic() - asked < 10
    assert len(fleet.events("at the gate")) == 2


def test_its_time_passes_by_the_stores_clock_while_nobody_runs_it(fleet: Fleet) -> None:
    first = fleet.worker()
    run = fleet.client.start("flows:late_saga", id="saga")
    fleet.wait_for("at the gate")
    assert run.cancel()
    fleet.wait_for("at the gate", 2)
    first.kill()
    eventually(
        lambda: (
            fleet.database.query(
                "SELECT perdure.cleanup_left(r.id, r.started, r.cleanup_seconds) < 0 FROM perdure.runs r"
            )
            == [(True,)]
        )
    )
    fleet.worker()
    with pytest.raises(RunWasCancelled):
        run.result(timeout=20)
    assert len(fleet.events("at the gate")) == 2


def test_a_second_cancellation_can_end_it_at_once(fleet: Fleet) -> None:
    fleet.worker()
    run = fleet.client.start("flows:async_saga", id="saga")
    fleet.wait_for("at the gate")
    assert run.cancel()
    fleet.wait_for("at the gate", 2)
    assert run.cancel(at_once=True)
    with pytest.raises(RunWasCancelled):
        run.result(timeout=10)
    assert ticks(fleet)[-1] == ("async_tick#2", 1)


def test_the_declaration_is_the_workers_where_the_client_does_not_know_it(fleet: Fleet) -> None:
    """And it is in the store before the first step."""
    fleet.worker()
    with Client(fleet.database.url) as client:
        client.start("flows:async_saga", id="saga")
    fleet.wait_for("tick")
    assert fleet.database.query("SELECT cleanup_seconds FROM perdure.runs") == [(30.0,)]


def test_without_cleanup_it_ends_whatever_its_code_awaits(fleet: Fleet) -> None:
    fleet.worker()
    run = fleet.client.start("flows:careless_saga", id="saga")
    fleet.wait_for("at the gate")
    assert run.cancel()
    with pytest.raises(RunWasCancelled):
        run.result(timeout=10)
    assert not fleet.events("tick")


@pytest.mark.slow
def test_a_sync_run_that_does_not_end_is_left_behind(fleet: Fleet) -> None:
    fleet.worker(threads=1)
    run = fleet.client.start("flows:stubborn", id="stubborn")
    fleet.wait_for("at the gate")
    assert run.cancel()
    fleet.open("gate")
    eventually((fleet.folder / "turns").exists)
    with pytest.raises(RunWasCancelled):
        run.result(timeout=30)
    following = fleet.client.start("flows:count", id="next", input={"steps": 1})
    assert following.result(timeout=10) == 0
