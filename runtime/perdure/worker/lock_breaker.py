"""Ends sessions that keep rows locked for longer than a lease, one row after the other, in one thread.

A thread that needs such a row goes on trying by itself, so no thread waits for this one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable

from ..owned_thread import Died, OwnedThread

__all__ = ["LockBreaker"]


class LockBreaker:
    """Works off what waits for locked rows.

    Args:
        died: learns what ended the thread before its time.
    """

    def __init__(self, died: Died) -> None:
        self._died = died
        self._changed = threading.Condition()
        self._keys: set[Hashable] = set()
        self._queue: deque[tuple[Hashable, Callable[[], None]]] = deque()
        self._thread: OwnedThread | None = None
        self._stopped = False

    def submit(self, key: Hashable, work: Callable[[], None]) -> None:
        """Do something that waits for a lock, unless that of this key is yet to be done; from any thread."""
        with self._changed:
            if self._stopped or key in self._keys:
                return
            self._keys.add(key)
            self._queue.append((key, work))
            if self._thread is None:
                self._thread = OwnedThread(self._work, name="perdure-locks", died=self._died).start()
            self._changed.notify()

    def stop(self) -> None:
        """Begin nothing more; a call under way ends by itself."""
        with self._changed:
            self._stopped = True
            self._queue.clear()
            self._changed.notify()

    def _work(self) -> None:
        while (one := self._next()) is not None:
            key, work = one
            try:
                work()
            finally:
                # Nothing is held while there is nothing to do.
                del one, work
                with self._changed:
                    self._keys.discard(key)

    def _next(self) -> tuple[Hashable, Callable[[], None]] | None:
        with self._changed:
            while not self._queue and not self._stopped:
                self._changed.wait()
            return None if self._stopped else self._queue.popleft()
