from __future__ import annotations

import threading

from perdure.engine.branches.lazy_event import LazyEvent
from tests.harness.eventually import eventually


def test_waiting_ends_with_the_timeout_and_says_that_the_flag_is_down():
    flag = LazyEvent()
    assert not flag.wait(0.01)
    assert not flag.is_set()


def test_setting_it_wakes_everybody_who_waits():
    flag = LazyEvent()
    woken: list[bool] = []
    waiting = [threading.Thread(target=lambda: woken.append(flag.wait(10))) for _ in range(8)]
    for thread in waiting:
        thread.start()
    eventually(lambda: flag._event is not None)
    flag.set()
    for thread in waiting:
        thread.join(10)
    assert woken == [True] * 8


def test_who_comes_later_does_not_wait():
    flag = LazyEvent()
    flag.set()
    flag.set()
    assert flag.wait()
    assert flag.is_set()
    assert flag._event is None
