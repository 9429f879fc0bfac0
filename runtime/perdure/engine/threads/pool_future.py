"""The future of a call in a thread pool. Its cancellation takes a call that waits for a place out of the pool.

One lock decides whether a call begins or is cancelled: the lock under which the pool gives places. `cancel` runs
the callbacks of the future after it has left that lock: they may wait for the pool, or call a step of the branch that
cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from threading import RLock
from typing import TypeVar

__all__ = ["PoolFuture"]

T = TypeVar("T")


class PoolFuture(Future[T]):
    """A future whose call may wait for a place.

    Args:
        lock: the lock under which the pool gives places to such calls.
    """

    _done_callbacks: list[Callable[[Future[T]], object]]

    def __init__(self, lock: RLock) -> None:
        super().__init__()
        self._lock = lock
        self.on_cancel: Callable[[], None] | None = None
        """Takes the call out of the pool, under the lock."""

    def cancel(self) -> bool:
        with self._lock:
            if self.cancelled():
                return True
            if self.running() or self.done():
                return False
            # Taken out of the future: `Future.cancel` would run them under the lock.
            with self._condition:
                callbacks = self._done_callbacks
                self._done_callbacks = []
            super().cancel()
            self.set_running_or_notify_cancel()
            on_cancel, self.on_cancel = self.on_cancel, None
            if on_cancel is not None:
                on_cancel()
            self._tell_sleepers()
        # The future is done, so no callbacks are added to the list any more.
        self._done_callbacks = callbacks
        self._invoke_callbacks()  # type: ignore[attr-defined]  # as `set_result` and `set_exception` do
        return True

    def deliver(self, result: T, error: BaseException | None) -> None:
        """End the future with the result or error of its call."""
        # `on_cancel` refers to the call and its arguments, which would live as long as the future.
        self.on_cancel = None
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(result)

    def _tell_sleepers(self) -> None:
        """Wake the waits that a subclass adds to those of `concurrent.futures`; the future is done."""
