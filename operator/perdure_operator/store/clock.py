"""Measures the age of events in the store: first by the server's clock, from then on by our own monotonic clock.

So delays, deadlines and patience end neither early nor late if the clock of the server or of this machine is set. Only
the first observation by a new operator depends on the server's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from uuid import UUID

__all__ = ["EventAges"]


@dataclass(frozen=True, slots=True)
class _Seen:
    event: Hashable
    age: float
    at: float


class EventAges:
    """The ages of events of runs, one event of each kind for a run."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[UUID, dict[str, _Seen]] = {}

    def of(self, run: UUID, kind: str, event: Hashable, age: float) -> float:
        """Seconds since an event.

        Args:
            run: of the event.
            kind: of the event. A run has one event of each kind; a new one replaces it.
            event: identifies the event.
            age: of the event in seconds by the server's clock; negative if that clock has been set back.
        """
        now = self._clock()
        of_run = self._seen.setdefault(run, {})
        seen = of_run.get(kind)
        if seen is None or seen.event != event:
            seen = of_run[kind] = _Seen(event, max(0.0, age), now)
        return seen.age + now - seen.at

    def forget(self, run: UUID) -> None:
        """Forget the events of a run."""
        self._seen.pop(run, None)

    def __len__(self) -> int:
        return len(self._seen)
