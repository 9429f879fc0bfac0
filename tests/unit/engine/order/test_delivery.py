"""An outcome on its way wakes its branch once: at its turn, which may need the store's answer or a cancellation."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from perdure.engine.branches.branch import Branch
from perdure.engine.order.delivery import Delivery
from perdure.engine.order.journal import Journal, Recorded
from perdure.engine.order.scheduler import Scheduler


def recorded(result: str | None = "1") -> Recorded:
    """A step's outcome, 200 microseconds after the run began; without a result it was cancelled."""
    return Recorded("charge", 1, 1, 1, 200, result, None)


class Stand:
    """A scheduler that replays these records, and the branches that were woken."""

    def __init__(self, *replays: Recorded) -> None:
        self.stuck: list[str] = []
        self.woken: list[str] = []
        self.scheduler = Scheduler(Journal(replays), lambda head: self.stuck.append(head.key), clock=lambda: 0)

    def delivery(self, path: str, ordinal: int, clock: int) -> Delivery:
        branch = Branch(cast("Any", None), path)
        return Delivery(branch, ordinal, clock, lambda: self.woken.append(path))


def test_a_recorded_outcome_waits_for_no_answer_of_the_store() -> None:
    stand = Stand(recorded())
    one = stand.delivery("1", 1, 200)
    stand.scheduler.wait_recorded(one)
    assert (stand.woken, one.ready) == (["1"], False)
    assert stand.scheduler.now == pytest.approx(200e-6)


def test_a_live_one_does_and_those_behind_it_wait_too() -> None:
    stand = Stand()
    first, second = stand.delivery("1", 1, 100), stand.delivery("2", 2, 200)
    with stand.scheduler.lock:
        stand.scheduler.wait_live(first)
        stand.scheduler.wait_live(second)
    stand.scheduler.stored(second)
    assert (stand.woken, first.ready, second.ready) == ([], False, True)
    stand.scheduler.stored(first)
    assert stand.woken == ["1"]
    stand.scheduler.rest_thread(first.branch)
    assert stand.woken == ["1", "2"]


def test_a_step_that_is_recorded_as_cancelled_ends_only_once_code_cancels_it() -> None:
    stand = Stand(recorded(None))
    one = stand.delivery("1", 1, 200)
    stand.scheduler.wait_recorded(one)
    assert (stand.woken, stand.stuck) == ([], ["charge"])
    stand.scheduler.cancel_requested(one)
    assert (stand.woken, one.cancel_requested) == (["1"], True)


def test_a_request_to_cancel_ends_no_wait_by_itself() -> None:
    stand = Stand()
    one = stand.delivery("1", 1, 100)
    stand.scheduler.wait_live(one)
    stand.scheduler.cancel_requested(one)
    assert stand.woken == []


def test_the_attempts_end_wakes_it_and_no_second_time() -> None:
    stand = Stand(recorded())
    other = Branch(cast("Any", None), "9")
    stand.scheduler.resume_thread(other)
    replayed, live = stand.delivery("1", 1, 200), stand.delivery("2", 2, 300)
    stand.scheduler.wait_recorded(replayed)
    stand.scheduler.wait_live(live)
    assert stand.woken == []
    stand.scheduler.wake_all()
    assert stand.woken == ["1", "2"]
    stand.scheduler.rest_thread(other)
    stand.scheduler.stored(live)
    assert stand.woken == ["1", "2"]


@pytest.mark.parametrize("task", [None, SimpleNamespace()])
def test_a_branch_in_a_thread_counts_as_running_before_its_thread_wakes(task: Any) -> None:
    """Otherwise the run would seem to rest, and the next outcome would overtake it. The loop counts tasks itself."""
    stand = Stand(recorded())
    one = stand.delivery("1", 1, 200)
    cast("Branch", one.branch).task = task
    stand.scheduler.wait_recorded(one)
    assert (one.branch in stand.scheduler.running) == (task is None)
