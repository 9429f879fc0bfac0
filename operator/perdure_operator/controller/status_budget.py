"""Limits how often statuses are written that only update counts of steps, for each Workflow and in total."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

__all__ = ["StatusBudget"]


class StatusBudget:
    """At most one in `every` seconds for each, and `rate` a second for all, of which `burst` may come at once."""

    def __init__(self, clock: Callable[[], float], *, every: float = 30.0, rate: float = 10.0, burst: int = 20) -> None:
        self._clock = clock
        self._every = every
        self._rate = rate
        self._burst = float(burst)
        self._left = float(burst)
        self._counted_at = clock()
        self._written: dict[UUID, float] = {}

    def wait(self, uid: UUID) -> float:
        """Seconds until such a status may be written. 0 permits one now, and counts it."""
        now = self._clock()
        if (rest := self._written.get(uid, now - self._every) + self._every - now) > 0:
            return rest
        self._left = min(self._burst, self._left + (now - self._counted_at) * self._rate)
        self._counted_at = now
        if self._left < 1:
            return max((1 - self._left) / self._rate, 0.1)
        self._left -= 1
        return 0.0

    def written(self, uid: UUID) -> None:
        """A status was written."""
        self._written[uid] = self._clock()

    def forget(self, uid: UUID) -> None:
        """Forget a Workflow whose status will not be written any more."""
        self._written.pop(uid, None)
