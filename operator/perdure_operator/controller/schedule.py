"""The work queue's rules without tasks and clocks: which keys are due, which are being worked on, which are due later.

As in client-go, a key is queued at most once, however often it is added; a key that is added while it is worked on is
due once more afterwards; of several planned times the earliest counts. Unlike client-go, taking a key forgets its
planned time, since the reconcile sets a new one; and a key can be held back until a time, even if it is added again.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

__all__ = ["Schedule"]

K = TypeVar("K", bound=Hashable)


class Schedule(Generic[K]):
    """Keys and times. Methods take the time as an argument: seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._due: deque[K] = deque()
        self._since: dict[K, float] = {}  # of those that are due, those to come once more among them
        self._running: dict[K, float] = {}
        self._later: dict[K, float] = {}
        self._held: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()

    def add(self, key: K, now: float) -> bool:
        """Make a key due. False if it was due already, or is held back."""
        if key in self._since or self._held.get(key, now) > now:
            return False
        self._since[key] = now
        if key not in self._running:
            self._due.append(key)
        return True

    def add_at(self, key: K, at: float) -> None:
        """Make a key due at that time, unless an earlier time is planned."""
        at = max(at, self._held.get(key, at))
        if at < self._later.get(key, float("inf")):
            self._later[key] = at
            heapq.heappush(self._heap, (at, next(self._order), key))

    def hold(self, key: K, until: float) -> None:
        """Make a key that is being worked on due at that time, and ignore it until then."""
        self._held[key] = until
        self._since.pop(key, None)
        self._later.pop(key, None)
        self.add_at(key, until)

    def take(self, now: float) -> tuple[K, float] | None:
        """The next key and for how long it was due, or None; it is being worked on until it is `done`."""
        self._promote(now)
        if not self._due:
            return None
        key = self._due.popleft()
        waited = now - self._since.pop(key)
        self._running[key] = now
        self._later.pop(key, None)
        self._held.pop(key, None)
        return key, waited

    def done(self, key: K) -> None:
        """A taken key has been worked on."""
        del self._running[key]
        if key in self._since:
            self._due.append(key)

    def next_at(self) -> float | None:
        """When the next key that is not due yet will be."""
        while self._heap and self._later.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # it was taken meanwhile, or is to come earlier
        return self._heap[0][0] if self._heap else None

    @property
    def depth(self) -> int:
        """How many are due and not worked on."""
        return len(self._due)

    @property
    def planned(self) -> int:
        """How many are to come later."""
        return len(self._later)

    @property
    def running(self) -> dict[K, float]:
        """Those that are worked on, and since when."""
        return self._running

    def _promote(self, now: float) -> None:
        while (at := self.next_at()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._later[key]
            self.add(key, at)
