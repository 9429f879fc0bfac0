"""Work that waits for locked rows is done one after the other, each once, in a thread that is begun when needed."""

from __future__ import annotations

import threading
from typing import Any

from perdure.worker.lock_breaker import LockBreaker
from tests.harness.eventually import eventually


def unheard(error: BaseException) -> None:
    raise AssertionError(error)


def waits(gate: threading.Event) -> None:
    assert gate.wait(10)


def test_it_is_done_in_order_and_one_at_a_time() -> None:
    breaker = LockBreaker(unheard)
    done: list[int] = []
    gate = threading.Event()
    breaker.submit("first", lambda: waits(gate))
    for key in range(5):
        breaker.submit(key, lambda key=key: done.append(key))  # type: ignore[misc]
    assert done == []
    gate.set()
    eventually(lambda: done == [0, 1, 2, 3, 4])
    breaker.stop()


def test_what_is_yet_to_be_done_is_not_noted_twice_and_what_was_done_may_come_again() -> None:
    breaker = LockBreaker(unheard)
    done: list[str] = []
    gate = threading.Event()
    breaker.submit("slow", lambda: waits(gate))
    for _ in range(3):
        breaker.submit("row", lambda: done.append("row"))
    gate.set()
    eventually(lambda: done == ["row"])
    eventually(lambda: not breaker._keys)
    breaker.submit("row", lambda: done.append("again"))
    eventually(lambda: done == ["row", "again"])
    breaker.stop()


def test_once_it_is_stopped_nothing_more_is_begun() -> None:
    breaker = LockBreaker(unheard)
    done: list[str] = []
    gate, begun = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        waits(gate)
        done.append("slow")

    breaker.submit("slow", slow)
    breaker.submit("next", lambda: done.append("next"))
    assert begun.wait(10)
    breaker.stop()
    breaker.submit("late", lambda: done.append("late"))
    gate.set()
    thread: Any = breaker._thread
    eventually(lambda: not [one for one in threading.enumerate() if one.name == "perdure-locks"])
    assert thread is not None
    assert done == ["slow"]


def test_what_ends_its_thread_is_told() -> None:
    died: list[BaseException] = []
    breaker = LockBreaker(died.append)

    def fails() -> None:
        raise OSError("away")

    breaker.submit("row", fails)
    eventually(lambda: [str(error) for error in died] == ["away"])
