"""Timers fire in their order, and a cancelled one holds nothing."""

from __future__ import annotations

import weakref

from perdure.worker.timers import Timers


class Thing:
    def act(self) -> None: ...


def test_order() -> None:
    timers, done = Timers(), []
    timers.at(2.0, lambda: done.append("late"))
    timers.at(1.0, lambda: done.append("first"))
    timers.at(1.0, lambda: done.append("second"))
    assert timers.next_due() == 1.0
    timers.run(1.5)
    assert done == ["first", "second"]
    timers.run(2.0)
    assert done == ["first", "second", "late"]
    assert timers.next_due() is None


def test_cancelled_timer_does_nothing() -> None:
    timers, done = Timers(), []
    timer = timers.at(1.0, lambda: done.append(1))
    timer.cancel()
    timer.cancel()
    assert timers.next_due() is None
    timers.run(2.0)
    assert done == []


def test_timer_that_has_fired_may_be_cancelled() -> None:
    timers = Timers()
    timer = timers.at(1.0, lambda: None)
    timers.run(1.0)
    timer.cancel()
    assert len(timers) == 0
    timers.at(1.0, lambda: None)
    assert timers.next_due() == 1.0


def test_cancelled_timers_hold_nothing_and_do_not_pile_up() -> None:
    timers = Timers()
    things = [Thing() for _ in range(1000)]
    for thing in things:
        timers.at(1e9, thing.act).cancel()
    seen = [weakref.ref(thing) for thing in things]
    del things, thing
    assert not any(ref() for ref in seen)
    assert len(timers) <= 130
