"""The timers of workflow code: those of its tasks, and the alarms that end waits of its threads."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from contextvars import Context
from typing import Any

__all__ = ["Alarm", "ScheduledTimer", "Timers"]

_TURN = 50e-6
"""Seconds that a timer takes if it is due already when it is set: about one turn of a loop.

Without them, code that polls by such timers would stop the run's clock. All its timers would then come before the next
outcome's reading, and the outcome for which it polls would never be delivered.
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
    """The end of a thread's wait, due by the run's clock.

    Threads set their alarms in any order, so alarms of one time ring in the order of their branches. Timers of tasks
    come before alarms of the same time.
    """

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
        """Keep the alarm from ringing: the wait has ended."""
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
        """The earliest due time of the timers that were set since the run last rested."""

    def add(
        self,
        when: float,
        now: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: Context | None,
    ) -> ScheduledTimer:
        """Set a timer of a task; `when` and `now` in seconds on the run's clock."""
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
        # Cancelled timers leave the heap only from its front: those behind are swept out now and then.
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
        """When the earliest timer is due, in seconds on the run's clock; infinity without a timer."""
        return self.heap[0]._when if self else math.inf

    def call_user_code(self) -> bool:
        """Whether a timer calls a callback of workflow code, rather than the end of a wait in asyncio or anyio."""
        return bool(self) and any(
            isinstance(timer, ScheduledTimer) and not timer._cancelled and not _ends_a_wait(timer._callback)  # type: ignore[attr-defined]
            for timer in self.heap
        )

    def pop(self) -> ScheduledTimer | Alarm:
        """Take the earliest timer out."""
        return heapq.heappop(self.heap)


def _ends_a_wait(callback: object) -> bool:
    return str(getattr(callback, "__module__", None)).partition(".")[0] in ("asyncio", "_asyncio", "anyio")


def _due(when: float, now: float) -> float:
    return when if when > now else now + _TURN
