"""One lock decides whether a call that waits for a place begins or is cancelled; callbacks run outside of that lock."""

from __future__ import annotations

import concurrent.futures
import threading
from threading import RLock

import pytest

from perdure.engine.threads.pool_future import PoolFuture


class Pool:
    """A lock, a future of a call that waits for a place, and what became of it."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.told: list[str] = []
        self.future = PoolFuture[int](self.lock)
        self.future.on_cancel = lambda: self.told.append("left the pool")

    def held_by_me(self) -> bool:
        """Whether this thread has the lock: another one cannot take it then."""
        got: list[bool] = []

        def take() -> None:
            got.append(self.lock.acquire(blocking=False))
            if got[0]:
                self.lock.release()

        thread = threading.Thread(target=take)
        thread.start()
        thread.join()
        return not got[0]


def test_one_that_waits_leaves_the_pool_once() -> None:
    pool = Pool()
    assert pool.future.cancel()
    assert pool.future.cancel()
    assert pool.told == ["left the pool"]
    assert pool.future.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        pool.future.result(0)


def test_it_leaves_under_the_lock_and_its_callbacks_run_outside_of_it() -> None:
    """They may wait for the pool, or call a step: whoever has the place needs the lock to end."""
    pool = Pool()
    pool.future.on_cancel = lambda: pool.told.append(f"left, held {pool.held_by_me()}")
    pool.future.add_done_callback(lambda _: pool.told.append(f"called, held {pool.held_by_me()}"))
    pool.future.add_done_callback(lambda _: pool.told.append("called next"))
    assert pool.future.cancel()
    assert pool.told == ["left, held True", "called, held False", "called next"]


def test_a_callback_that_is_added_later_is_called_at_once() -> None:
    pool = Pool()
    pool.future.cancel()
    pool.future.add_done_callback(lambda one: pool.told.append(f"cancelled {one.cancelled()}"))
    assert pool.told == ["left the pool", "cancelled True"]


def test_a_callback_that_raises_hinders_no_other(caplog: pytest.LogCaptureFixture) -> None:
    pool = Pool()

    def broken(_: object) -> None:
        raise ValueError("in a callback")

    pool.future.add_done_callback(broken)
    pool.future.add_done_callback(lambda _: pool.told.append("called"))
    assert pool.future.cancel()
    assert pool.told == ["left the pool", "called"]
    assert "exception calling callback" in caplog.text


def test_one_that_has_begun_stays() -> None:
    pool = Pool()
    assert pool.future.set_running_or_notify_cancel()
    assert not pool.future.cancel()
    pool.future.deliver(7, None)
    assert not pool.future.cancel()
    assert (pool.future.result(0), pool.told) == (7, [])


def test_what_waits_for_it_hears_of_its_end() -> None:
    for end in (lambda one: one.cancel(), lambda one: one.deliver(1, None), lambda one: one.deliver(0, OSError("no"))):
        pool = Pool()
        waits = threading.Thread(target=concurrent.futures.wait, args=([pool.future],))
        waits.start()
        end(pool.future)
        waits.join(10)
        assert not waits.is_alive()


def test_an_error_is_delivered_as_one() -> None:
    pool = Pool()
    pool.future.set_running_or_notify_cancel()
    pool.future.deliver(0, OSError("no disk"))
    with pytest.raises(OSError, match="no disk"):
        pool.future.result(0)


def test_a_future_that_has_ended_keeps_nothing_of_its_call() -> None:
    for end in (lambda one: one.cancel(), lambda one: one.deliver(1, None)):
        pool = Pool()
        end(pool.future)
        assert pool.future.on_cancel is None


def test_of_a_cancellation_and_a_beginning_at_once_one_wins() -> None:
    """Whoever gives the place takes the lock, looks, and begins the call: a cancellation never comes in between."""
    for _ in range(200):
        pool = Pool()
        begun: list[bool] = []
        both = threading.Barrier(2)

        def begin(pool: Pool = pool, begun: list[bool] = begun, both: threading.Barrier = both) -> None:
            both.wait()
            with pool.lock:
                if not pool.future.cancelled():
                    begun.append(pool.future.set_running_or_notify_cancel())

        thread = threading.Thread(target=begin)
        thread.start()
        both.wait()
        cancelled = pool.future.cancel()
        thread.join()
        assert (begun == [True]) != cancelled
        assert pool.told == (["left the pool"] if cancelled else [])
