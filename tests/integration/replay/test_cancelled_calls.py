"""A call that is cancelled while it waits for a place leaves its pool, whatever the threads do just then."""

from __future__ import annotations

import concurrent.futures
import threading

import pytest

import perdure
from perdure.engine.threads.threads import ThreadPoolExecutor, _Work
from perdure.testing import kills


@perdure.step
def double(value: int) -> int:
    return 2 * value


@pytest.mark.timeout(30)
def test_its_place_is_given_to_no_call_that_was_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that has the place ends after another was cancelled and before that has left."""
    gate = threading.Event()
    pool = perdure.ThreadPoolExecutor(1)
    first, second, third = pool.submit(gate.wait), pool.submit(gate.wait), pool.submit(gate.is_set)
    drop = ThreadPoolExecutor._drop

    def drop_late(of: ThreadPoolExecutor, work: _Work) -> None:
        gate.set()
        # It ends now, or else once it is let.
        concurrent.futures.wait([first], timeout=0.5)
        drop(of, work)

    monkeypatch.setattr(ThreadPoolExecutor, "_drop", drop_late)
    assert second.cancel()
    assert first.result(timeout=5)
    assert third.result(timeout=5)
    assert second.cancelled()
    pool.shutdown()


@perdure.workflow
def steps_in_a_callback() -> list[int]:
    """While the callback runs, the thread that has the place is in workflow code, and wants to call a step as well."""
    called = threading.Event()
    told: list[int] = []

    def computes() -> int:
        called.wait(10)
        return double(2)

    def done(_: object) -> None:
        called.set()
        told.append(double(7))

    with perdure.ThreadPoolExecutor(1) as pool:
        first, second = pool.submit(computes), pool.submit(double, 1)
        second.add_done_callback(done)
        assert second.cancel()
        assert second.cancel()
        return [*told, first.result(), double(3)]


@pytest.mark.timeout(30)
def test_a_callback_of_it_may_call_steps() -> None:
    for run in kills(steps_in_a_callback):
        assert run.result() == [14, 4, 6]
        assert run.replay().executed == []


@pytest.mark.timeout(30)
def test_a_callback_of_a_plain_call_may_wait_for_the_pool() -> None:
    gate = threading.Event()
    pool = perdure.ThreadPoolExecutor(1)
    first, second = pool.submit(gate.wait), pool.submit(gate.wait)
    told: list[bool] = []

    def done(_: object) -> None:
        gate.set()
        told.append(first.result(timeout=5))

    second.add_done_callback(done)
    assert second.cancel()
    assert told == [True]
    pool.shutdown()
