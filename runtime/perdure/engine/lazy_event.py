"""A flag that threads may wait for, and mostly nobody does."""

from __future__ import annotations

from threading import Event, Lock

__all__ = ["LazyEvent"]


class LazyEvent:
    """As `threading.Event`, which would hold more than a kilobyte of each of a thousand runs in a process."""

    __slots__ = ("_event", "_lock", "_up")

    def __init__(self) -> None:
        self._up = False
        self._event: Event | None = None
        self._lock = Lock()

    def is_set(self) -> bool:
        """Whether it was set."""
        return self._up

    def set(self) -> None:
        """Set it for good, and wake who waits for it."""
        with self._lock:
            self._up = True
            event = self._event
        if event is not None:
            event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for so many seconds; whether it is set."""
        with self._lock:
            if self._up:
                return True
            event = self._event = self._event or Event()
        return event.wait(timeout)
