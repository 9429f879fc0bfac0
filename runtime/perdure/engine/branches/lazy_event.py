"""A flag for which threads can wait; for most flags no thread does."""

from __future__ import annotations

from threading import Event, Lock

__all__ = ["LazyEvent"]


class LazyEvent:
    """Like `threading.Event`, but makes such an event only when a thread waits.

    An Event takes more than a kilobyte, and a process may have a thousand runs.
    """

    __slots__ = ("_event", "_lock", "_up")

    def __init__(self) -> None:
        self._up = False
        self._event: Event | None = None
        self._lock = Lock()

    def is_set(self) -> bool:
        """Whether the flag is set."""
        return self._up

    def set(self) -> None:
        """Set the flag for good, and wake the threads that wait for it."""
        # Under the lock: a thread that begins to wait now either sees the flag set, or has its event set here.
        with self._lock:
            self._up = True
            event = self._event
        if event is not None:
            event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is set, or for `timeout` seconds. Returns whether the flag is set."""
        with self._lock:
            if self._up:
                return True
            event = self._event = self._event or Event()
        return event.wait(timeout)
