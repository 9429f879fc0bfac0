"""The scheduler: which event comes next, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from perdure.engine.branches.branch import Branch
from perdure.engine.branches.hand_out import hand_out
from perdure.engine.order.delivery import Delivery
from perdure.engine.order.journal import Journal, Recorded
from perdure.engine.order.scheduler import Scheduler


@dataclass
class Stand:
    """A scheduler without a loop, on a clock that stands where it is put, and what came of it."""

    recorded: list[Recorded] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    clock: int = 0
    """Microseconds."""
    reading: int = 0
    """Microseconds."""
    read_at: int | None = None
    """Nanoseconds."""

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(
            Journal(self.recorded),
            lambda head: self.stuck.append(head.key),
            clock=lambda: self.clock * 1000,
            reading=self.reading,
            read_at=self.read_at,
        )

    def branch(self, path: str) -> Branch:
        return Branch(cast("Any", None), path)

    def delivery(self, name: str, ordinal: int, clock: int, path: str = "1") -> Delivery:
        return Delivery(self.branch(path), ordinal, clock, lambda: self.told.append(name))

    def calls(self, one: Recorded, path: str = "1") -> Delivery:
        """A branch calls a recorded step, and rests."""
        delivery = self.delivery(one.key, one.ordinal, one.clock, path)
        self.scheduler.wait_recorded(delivery)
        return delivery

    def alarm(self, name: str, seconds: float, path: str = "1") -> None:
        self.scheduler.add_alarm(seconds, self.branch(path), lambda: self.told.append(name))

    def rest(self) -> None:
        """Every thread that was woken rests again."""
        self.scheduler.running.clear()
        self.scheduler.pump()


def recorded(key: str, ordinal: int, clock: int, *, cancelled: bool = False) -> Recorded:
    return Recorded(key, ordinal, 1, 1, clock, None if cancelled else "1", None)


A, B = recorded("1/a", 1, 100), recorded("2/b", 2, 200)
"""As the branches that call them know them."""


def test_recorded_outcomes_come_in_their_order_one_at_a_rest() -> None:
    stand = Stand([recorded("1/a", 1, 100), recorded("2/b", 2, 200)])
    runs = stand.branch("9")
    stand.scheduler.resume_thread(runs)
    stand.calls(B, "2")
    stand.calls(A)
    assert stand.told == []
    stand.scheduler.rest_thread(runs)
    assert stand.told == ["1/a"]
    stand.rest()
    assert stand.told == ["1/a", "2/b"]
    assert stand.scheduler.now == pytest.approx(200e-6)


def test_live_outcomes_come_after_the_recorded_ones() -> None:
    stand = Stand([recorded("1/a", 1, 100)])
    ordinal, clock = stand.scheduler.accept()
    live = stand.delivery("live", ordinal, clock, "2")
    stand.scheduler.wait_live(live)
    stand.scheduler.stored(live)
    assert (stand.told, stand.stuck) == ([], ["1/a"])
    stand.calls(A)
    stand.rest()
    assert stand.told == ["1/a", "live"]


def test_a_live_outcome_waits_for_those_accepted_before_it() -> None:
    stand = Stand()
    first, second = (stand.delivery(name, *stand.scheduler.accept()) for name in ("first", "second"))
    stand.scheduler.wait_live(first)
    stand.scheduler.wait_live(second)
    stand.scheduler.stored(second)
    assert stand.told == []
    stand.scheduler.stored(first)
    stand.rest()
    assert stand.told == ["first", "second"]


def test_one_that_is_withdrawn_holds_up_none() -> None:
    stand = Stand()
    first, second = (stand.delivery(name, *stand.scheduler.accept()) for name in ("first", "second"))
    stand.scheduler.wait_live(first)
    stand.scheduler.wait_live(second)
    stand.scheduler.stored(second)
    stand.scheduler.withdraw(first)
    assert stand.told == ["second"]


def test_readings_grow_whatever_the_clock_does() -> None:
    stand = Stand([recorded("1/a", 7, 500)])
    assert stand.scheduler.accept() == (8, 501)
    stand.clock = -50
    assert stand.scheduler.accept() == (9, 502)
    stand.clock = 1000
    assert stand.scheduler.accept() == (10, 1500)


@pytest.mark.parametrize(("due", "told"), [(99, ["alarm", "1/a"]), (100, ["alarm", "1/a"]), (101, ["1/a"])])
def test_a_timer_comes_before_an_outcome_if_it_is_due_by_its_reading(due: int, told: list[str]) -> None:
    stand = Stand([recorded("1/a", 1, 100)])
    stand.scheduler.resume_thread(stand.branch("9"))
    stand.alarm("alarm", due / 1e6, "2")
    stand.calls(A)
    for _ in range(3):
        stand.rest()
    # Recorded outcomes and timers up to them take no time; the one beyond waits for the clock.
    assert stand.told == told
    stand.clock = 1
    stand.rest()
    assert stand.told == ["1/a", "alarm"] if due > 100 else told


def test_alarms_of_one_time_ring_in_the_order_of_their_branches() -> None:
    stand = Stand()
    for path in ("2.10", "10", "2.9", "1"):
        stand.alarm(path, 0.001, path)
    stand.scheduler.pump()
    stand.clock = 5000
    for _ in range(4):
        stand.rest()
    assert stand.told == ["1", "2.9", "2.10", "10"]


def test_ends_of_branches_come_first_and_the_lowest_before_the_others() -> None:
    stand = Stand([recorded("1/a", 1, 100)])
    stand.scheduler.resume_thread(stand.branch("9"))
    stand.calls(A)
    for path in ("3", "2.1"):
        stand.scheduler.complete(stand.branch(path), lambda path=path: stand.told.append(path))  # type: ignore[misc]
    for _ in range(3):
        stand.rest()
    assert stand.told == ["2.1", "3", "1/a"]


def test_a_cancelled_outcome_waits_for_the_cancellation() -> None:
    stand = Stand([recorded("1/a", 1, 100, cancelled=True)])
    delivery = stand.calls(A)
    assert (stand.told, stand.stuck) == ([], ["1/a"])
    stand.scheduler.cancel_requested(delivery)
    assert stand.told == ["1/a"]


def test_nothing_is_stuck_while_something_runs_or_looks() -> None:
    stand = Stand([recorded("1/a", 1, 100)])
    runs = stand.branch("9")
    stand.scheduler.resume_thread(runs)
    stand.scheduler.pump()
    stand.scheduler.pump(force=True)
    assert stand.stuck == []
    stand.scheduler.rest_thread(runs)
    assert stand.stuck == ["1/a"]


def test_the_clock_goes_on_from_the_reading_at_begin() -> None:
    stand = Stand([recorded("1/a", 1, 100)], reading=1000)
    stand.scheduler.resume_thread(stand.branch("9"))
    stand.alarm("alarm", 0.002, "2")
    stand.calls(A)
    stand.clock = 900
    for _ in range(3):
        stand.rest()
    assert stand.told == ["1/a"]
    assert stand.scheduler.now == pytest.approx(1000e-6)
    stand.clock = 1000
    stand.rest()
    assert stand.told == ["1/a", "alarm"]
    assert stand.scheduler.accept() == (2, 2001)


def test_it_counts_from_when_the_reading_was_got() -> None:
    stand = Stand(reading=1000, clock=50_000, read_at=20_000_000)
    assert stand.scheduler.elapsed() == 31_000


def test_what_is_recorded_later_than_the_reading_counts_more() -> None:
    assert Stand([recorded("1/a", 1, 100)], reading=99).scheduler.elapsed() == 100


def test_no_body_begins_before_what_is_recorded_and_what_fell_due_meanwhile() -> None:
    stand = Stand([recorded("1/a", 1, 100)], reading=1000)
    runs = stand.branch("9")
    stand.scheduler.resume_thread(runs)
    stand.scheduler.hold_body(lambda: stand.told.append("body"))
    for name, due in (("late", 1001), ("last", 1000), ("first", 300)):
        stand.alarm(name, due / 1e6, "2")
    stand.calls(A)
    assert (stand.told, stand.scheduler.settled) == ([], False)
    stand.rest()
    assert stand.told == ["1/a"]
    stand.rest()
    assert stand.told == ["1/a", "first", "last", "body"]
    assert stand.scheduler.settled
    stand.scheduler.hold_body(lambda: stand.told.append("another"))
    assert stand.told[-1] == "another"


def test_a_step_that_is_cancelled_before_it_begins_has_its_outcome_at_that_time() -> None:
    stand = Stand(reading=1000)
    stand.scheduler.now = 300e-6
    assert stand.scheduler.accept(began=False) == (1, 301)
    assert stand.scheduler.accept() == (2, 1000)
    stand.scheduler.settle()
    stand.clock = 5
    assert stand.scheduler.accept(began=False) == (3, 1005)


def test_replay_settles_the_past_of_each_attempt_as_that_did() -> None:
    """What came while an attempt settled its past comes before the rest of that past; then the clock jumps."""
    held = Recorded("1/a", 1, 2, 0, 500, "1", None, began=1000)
    later = Recorded("2/b", 2, 2, 1, 2000, "1", None, began=1000)
    stand = Stand([held, later])
    stand.scheduler.resume_thread(stand.branch("9"))
    stand.alarm("past", 0.0009, "3")
    stand.scheduler.wait_recorded(stand.delivery("held", 1, 500))
    stand.rest()
    assert stand.told == ["held"]
    assert stand.scheduler.now == pytest.approx(500e-6)
    stand.rest()
    # It waits for the step that comes next, with the clock where that attempt began.
    assert (stand.told, stand.stuck) == (["held", "past"], ["2/b"])
    assert stand.scheduler.now == pytest.approx(1000e-6)
    stand.scheduler.wait_recorded(stand.delivery("later", 2, 2000))
    assert stand.told == ["held", "past", "later"]


def test_an_ended_attempt_lets_go_of_the_bodies_that_it_held() -> None:
    stand = Stand(reading=1000)
    stand.scheduler.resume_thread(stand.branch("9"))
    stand.scheduler.hold_body(lambda: stand.told.append("body"))
    stand.scheduler.wake_all()
    stand.scheduler.hold_body(lambda: stand.told.append("another"))
    assert stand.told == ["body", "another"]


def test_a_timer_that_was_overdue_before_its_first_rest_takes_its_time() -> None:
    stand = Stand()
    stand.scheduler.resume_thread(stand.branch("9"))
    stand.clock = 15_000
    stand.alarm("alarm", 0.01)
    stand.rest()
    assert stand.told == []
    stand.clock += 10_001
    stand.rest()
    assert stand.told == ["alarm"]


def test_a_timer_of_no_time_moves_the_clock() -> None:
    stand = Stand()
    stand.alarm("alarm", 0.0)
    stand.scheduler.pump()
    stand.clock += 60
    stand.rest()
    assert stand.told == ["alarm"]
    assert stand.scheduler.now == pytest.approx(50e-6)


def test_a_branch_is_lone_without_others_timers_and_the_outside() -> None:
    scheduler = Stand().scheduler
    assert scheduler.lone
    scheduler.busy = 1  # its own callback
    assert scheduler.lone
    scheduler.busy = 2
    assert not scheduler.lone
    scheduler.busy, scheduler.branches = 1, 2
    assert not scheduler.lone
    scheduler.branches = 1
    back = hand_out(scheduler, awaited=True)
    assert not scheduler.lone
    back()
    assert scheduler.lone
    alarm = scheduler.add_alarm(1.0, Branch(cast("Any", None), "1"), lambda: None)
    assert not scheduler.lone
    alarm.cancel()
    assert scheduler.lone


def test_an_ended_attempt_wakes_all_and_tells_ends_at_once() -> None:
    stand = Stand([recorded("1/a", 1, 100), recorded("2/b", 2, 200)])
    stand.scheduler.resume_thread(stand.branch("9"))
    stand.calls(B, "2")
    stand.scheduler.wake_all()
    assert stand.told == ["2/b"]
    stand.scheduler.complete(stand.branch("3"), lambda: stand.told.append("end"))
    assert stand.told == ["2/b", "end"]
