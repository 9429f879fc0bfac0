"""Timers of one thread. A cancelled timer drops its action, with all that the action refers to."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

__all__ = ["Timer", "Timers"]

_FEW = 64
"""Cancelled timers that may stay in the heap: fewer are not worth the work."""


class Timer:
    """Something to be done at a time."""

    __slots__ = ("_action", "_number", "_timers", "due")

    def __init__(self, timers: Timers, due: float, number: int, action: Callable[[], None]) -> None:
        self._timers = timers
        self.due = due
        self._number = number
        self._action: Callable[[], None] | None = action

    def cancel(self) -> None:
        """Do nothing then. Does no harm a second time, or afterwards."""
        if self._action is not None:
            self._action = None
            self._timers.cancelled()

    @property
    def is_cancelled(self) -> bool:
        """Whether there is nothing to be done any more."""
        return self._action is None

    def take(self) -> Callable[[], None] | None:
        """The action, given out once."""
        action, self._action = self._action, None
        return action

    def __lt__(self, other: Timer) -> bool:
        return (self.due, self._number) < (other.due, other._number)


class Timers:
    """Timers of one thread. Every time on one monotonic clock."""

    def __init__(self) -> None:
        self._heap: list[Timer] = []
        self._numbers = itertools.count()
        self._cancelled = 0

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, due: float, action: Callable[[], None]) -> Timer:
        """Do something then."""
        timer = Timer(self, due, next(self._numbers), action)
        heapq.heappush(self._heap, timer)
        return timer

    def cancelled(self) -> None:
        """One of them was. Deadlines lie far ahead, and most runs end long before: their timers must not pile up."""
        self._cancelled += 1
        if self._cancelled > max(_FEW, len(self._heap) // 2):
            self._heap = [timer for timer in self._heap if not timer.is_cancelled]
            heapq.heapify(self._heap)
            self._cancelled = 0

    def next_due(self) -> float | None:
        """When the next one is due."""
        while self._heap and self._heap[0].is_cancelled:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0].due if self._heap else None

    def run(self, now: float) -> None:
        """Do all due actions."""
        while (due := self.next_due()) is not None and due <= now:
            if (action := heapq.heappop(self._heap).take()) is not None:
                action()
