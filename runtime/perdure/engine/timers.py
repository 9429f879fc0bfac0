"""The timers of workflow code: those of its tasks, and the waits of its threads that end at a time."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from contextvars import Context
from typing import Any

__all__ = ["Alarm", "ScheduledTimer", "Timers"]

_TURN = 50e-6
"""Seconds that a timer takes which is due already when it is set.

A turn of a loop takes about as long. Without it, code that polls by such timers would stop the run's clock for good,
and what it polls for would never come.
"""


class ScheduledTimer(asyncio.TimerHandle):
    """A timer of a task, due by the run's clock."""

    __slots__ = ("number",)
    _when: float
    number: int
    order: tuple[int, ...] = ()

    def __lt__(self, other: Any) -> bool:
        return (self._when, self.order, self.number) < (other._when, other.order, other.number)


class Alarm:
    """The time at which a thread's wait ends. Threads that wait alike are woken in the order of their branches."""

    __slots__ = ("_cancelled", "_when", "number", "order", "ring")

    def __init__(self, when: float, order: tuple[int, ...], ring: Callable[[], None]) -> None:
        self._when = when
        self._cancelled = False
        self.order = order
        self.number = 0
        self.ring = ring

    def when(self) -> float:
        """Seconds on the run's clock."""
        return self._when

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._cancelled = True

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._cancelled

    __lt__ = ScheduledTimer.__lt__


class Timers:
    """The timers of a run, earliest first."""

    __slots__ = ("_number", "fresh", "heap")

    def __init__(self) -> None:
        self.heap: list[ScheduledTimer | Alarm] = []
        self._number = 0
        self.fresh = math.inf
        """The earliest due time of those that were set since the run was last at rest."""

    def add(
        self,
        when: float,
        now: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> ScheduledTimer:
        """Set a timer of a task."""
        timer = ScheduledTimer(_due(when, now), callback, args, loop, context)
        self._push(timer)
        return timer

    def add_alarm(self, seconds: float, now: float, order: tuple[int, ...], ring: Callable[[], None]) -> Alarm:
        """Set a thread's alarm; `ring` is called when it is due."""
        alarm = Alarm(_due(now + seconds, now), order, ring)
        self._push(alarm)
        return alarm

    def _push(self, timer: ScheduledTimer | Alarm) -> None:
        timer.number = self._number
        self._number += 1
        if len(self.heap) > 64 and self._number % 64 == 0:
            self.heap = [t for t in self.heap if not t.cancelled()]
            heapq.heapify(self.heap)
        heapq.heappush(self.heap, timer)
        self.fresh = min(self.fresh, timer._when)

    def __bool__(self) -> bool:
        heap = self.heap
        while heap and heap[0]._cancelled:
            heapq.heappop(heap)
        return bool(heap)

    def next_due(self) -> float:
        """When the earliest is due; never, if there is none."""
        return self.heap[0]._when if self else math.inf

    def call_user_code(self) -> bool:
        """Whether one calls something that workflow code gave to `call_later`, and not asyncio's own ends of waits."""
        return bool(self) and any(
            isinstance(timer, ScheduledTimer) and not timer._cancelled and not _ends_a_wait(timer._callback)  # type: ignore[attr-defined]
            for timer in self.heap
        )

    def pop(self) -> ScheduledTimer | Alarm:
        """Take the earliest."""
        return heapq.heappop(self.heap)


def _ends_a_wait(callback: object) -> bool:
    return str(getattr(callback, "__module__", None)).partition(".")[0] in ("asyncio", "_asyncio", "anyio")


def _due(when: float, now: float) -> float:
    return when if when > now else now + _TURN
