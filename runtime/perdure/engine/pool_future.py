"""The future of a call that a pool was given: cancelled while the call waits for a place there, it takes it out.

Whether a call begins or is cancelled is decided under one lock, that under which its pool gives places. What is called
when the future is done is called behind that: it may wait for the pool, or call a step of the branch that cancels.
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
        lock: the one under which the pool gives places to calls like this.
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
            with self._condition:
                callbacks = self._done_callbacks
                self._done_callbacks = []
            super().cancel()
            self.set_running_or_notify_cancel()
            on_cancel, self.on_cancel = self.on_cancel, None
            if on_cancel is not None:
                on_cancel()
            self._tell_sleepers()
        # It is done, so that no more are added.
        self._done_callbacks = callbacks
        self._invoke_callbacks()  # type: ignore[attr-defined]  # as each way to its end calls them
        return True

    def deliver(self, result: T, error: BaseException | None) -> None:
        """Its call has ended."""
        self.on_cancel = None
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(result)

    def _tell_sleepers(self) -> None:
        """It is done: wake those who wait for it otherwise than `concurrent.futures` lets them."""
