"""What workflow code hands out counts as outside until it is back."""

from __future__ import annotations

import threading
from typing import Any

from perdure.engine.branches.hand_out import hand_out, hand_out_to_thread
from perdure.engine.order.journal import Journal
from perdure.engine.order.scheduler import Scheduler


def test_what_is_out_counts_until_it_is_back() -> None:
    scheduler = Scheduler(Journal([]), print, clock=lambda: 7)
    one, other = hand_out(scheduler, awaited=True), hand_out(scheduler, awaited=False)
    assert sorted(scheduler.outside.out.values(), key=str) == [(0.0, 7), None]
    one()
    assert list(scheduler.outside.out.values()) == [None]
    other()
    assert not scheduler.outside


def test_the_run_is_looked_at_once_it_is_back() -> None:
    stuck: list[Any] = []
    scheduler = Scheduler(Journal([]), stuck.append)
    looked: list[str] = []
    scheduler.offer = lambda: looked.append("at rest")
    back = hand_out(scheduler, awaited=True)
    assert looked == []
    back()
    assert looked == ["at rest"]


def test_without_a_loop_what_ends_in_a_thread_is_back_at_once() -> None:
    scheduler = Scheduler(Journal([]), print)
    back = hand_out_to_thread(scheduler)
    thread = threading.Thread(target=back)
    thread.start()
    thread.join()
    assert not scheduler.outside
