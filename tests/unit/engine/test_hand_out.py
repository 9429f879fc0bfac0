"""What workflow code hands out counts as outside until it is back."""

from __future__ import annotations

import threading
from typing import Any

from perdure.engine.hand_out import hand_out, hand_out_to_thread
from perdure.engine.journal import Journal
from perdure.engine.lane import Lane


def test_what_is_out_counts_until_it_is_back() -> None:
    lane = Lane(Journal([]), print, clock=lambda: 7)
    one, other = hand_out(lane, awaited=True), hand_out(lane, awaited=False)
    assert sorted(lane.outside.out.values(), key=str) == [(0.0, 7), None]
    one()
    assert list(lane.outside.out.values()) == [None]
    other()
    assert not lane.outside


def test_the_run_is_looked_at_once_it_is_back() -> None:
    stuck: list[Any] = []
    lane = Lane(Journal([]), stuck.append)
    looked: list[str] = []
    lane.offer = lambda: looked.append("at rest")
    back = hand_out(lane, awaited=True)
    assert looked == []
    back()
    assert looked == ["at rest"]


def test_without_a_loop_what_ends_in_a_thread_is_back_at_once() -> None:
    lane = Lane(Journal([]), print)
    back = hand_out_to_thread(lane)
    thread = threading.Thread(target=back)
    thread.start()
    thread.join()
    assert not lane.outside
