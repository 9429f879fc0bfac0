"""Timers of workflow code: the earliest comes first, by the run's clock, and ties are broken alike on every replay."""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

import pytest

from perdure.engine.order.timers import Alarm, ScheduledTimer, Timers

NOW = 10.0


class _Loop:
    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, timer: object) -> None:
        pass


def alarm(timers: Timers, seconds: float, order: tuple[int, ...] = ()) -> Alarm:
    return timers.add_alarm(seconds, NOW, order, lambda: None)


def timer(timers: Timers, when: float, callback: Any = print) -> ScheduledTimer:
    return timers.add(when, NOW, callback, (), cast("Any", _Loop()), None)


def popped(timers: Timers) -> list[Any]:
    found = []
    while timers:
        found.append(timers.pop())
    return found


def test_the_earliest_is_first_whoever_waits() -> None:
    timers = Timers()
    late, soon, first = timer(timers, 12), alarm(timers, 1), timer(timers, 10.5)
    assert timers.next_due() == 10.5
    assert popped(timers) == [first, soon, late]
    assert timers.next_due() == math.inf


def test_at_one_time_branches_are_woken_in_their_order_and_those_of_one_as_they_were_set() -> None:
    timers = Timers()
    last = alarm(timers, 1, (2,))
    one, other = alarm(timers, 1, (1, 3)), alarm(timers, 1, (1, 3))
    task = timer(timers, 11)
    assert popped(timers) == [task, one, other, last]


@pytest.mark.parametrize("when", [NOW, 0.0])
def test_what_is_due_already_takes_a_moment_all_the_same(when: float) -> None:
    """Code that polls by such timers would stop the run's clock."""
    timers = Timers()
    timer(timers, when)
    assert NOW < timers.next_due() < NOW + 0.001
    assert alarm(Timers(), 0).when() > NOW


def test_what_was_cancelled_is_not_due() -> None:
    timers = Timers()
    gone, stays = alarm(timers, 1), alarm(timers, 2)
    gone.cancel()
    assert gone.cancelled()
    assert timers.next_due() == 12
    stays.cancel()
    assert not timers


def test_timers_that_are_set_and_cancelled_again_and_again_do_not_pile_up() -> None:
    timers = Timers()
    stays = alarm(timers, 1)
    for _ in range(1000):
        alarm(timers, 2).cancel()
    assert len(timers.heap) < 200
    assert popped(timers) == [stays]


def test_the_earliest_that_is_new_is_known() -> None:
    timers = Timers()
    assert timers.fresh == math.inf
    alarm(timers, 3)
    alarm(timers, 5)
    assert timers.fresh == 13


def test_what_ends_a_wait_of_asyncio_is_no_code_of_the_users() -> None:
    timers = Timers()
    alarm(timers, 1)
    timer(timers, 11, asyncio.Timeout(1)._on_timeout)  # type: ignore[attr-defined]
    assert not timers.call_user_code()
    of_the_user = timer(timers, 12, test_the_earliest_that_is_new_is_known)
    assert timers.call_user_code()
    of_the_user.cancel()
    assert not timers.call_user_code()
