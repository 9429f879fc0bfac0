"""An outcome gets its place in the run's order before it is stored, and leaves it if it never will be."""

from __future__ import annotations

from typing import Any, cast

from perdure.engine.branches.branch import Branch
from perdure.engine.order.journal import Journal
from perdure.engine.order.outcome import Outcome
from perdure.engine.order.place import Place
from perdure.engine.order.scheduler import Scheduler


class Stand:
    """Places of one run, whose clock stands at three milliseconds."""

    def __init__(self) -> None:
        self.clock = 0
        self.scheduler = Scheduler(Journal([]), print, clock=lambda: self.clock)
        self.clock = 3_000_000
        self.woken: list[str] = []

    def place(self, name: str, *, alone: bool = False) -> Place:
        branch = Branch(cast("Any", None), name)
        return Place(self.scheduler, branch, 0, lambda: self.woken.append(name), alone=alone, fingerprint=f"of {name}")

    def stored(self, place: Place) -> None:
        assert place.delivery is not None
        self.scheduler.stored(place.delivery)
        self.scheduler.running.clear()
        self.scheduler.pump()


def test_outcomes_are_numbered_as_they_come_about_and_read_the_runs_clock() -> None:
    stand = Stand()
    one, other = Outcome(), Outcome()
    stand.place("1").take(one)
    stand.clock += 1_000_000
    stand.place("2").take(other)
    assert (one.ordinal, one.clock, one.fingerprint) == (1, 3000, "of 1")
    assert (other.ordinal, other.clock, other.fingerprint) == (2, 4000, "of 2")


def test_a_branch_that_is_alone_waits_for_no_turn() -> None:
    place = Stand().place("", alone=True)
    place.take(Outcome())
    assert place.delivery is None


def test_one_that_is_stored_before_another_waits_for_it() -> None:
    stand = Stand()
    first, second = stand.place("1"), stand.place("2")
    first.take(Outcome())
    second.take(Outcome())
    stand.stored(second)
    assert stand.woken == []
    stand.stored(first)
    stand.scheduler.running.clear()
    stand.scheduler.pump()
    assert stand.woken == ["1", "2"]


def test_one_that_leaves_holds_up_no_other_and_is_not_woken() -> None:
    stand = Stand()
    first, second = stand.place("1"), stand.place("2")
    first.take(Outcome())
    second.take(Outcome())
    first.leave()
    stand.stored(second)
    assert first.delivery is None
    assert stand.woken == ["2"]


def test_leaving_twice_or_without_a_place_is_nothing() -> None:
    place = Stand().place("1")
    place.leave()
    place.take(Outcome())
    place.leave()
    place.leave()
    assert place.delivery is None
