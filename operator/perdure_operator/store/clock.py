"""How long ago something happened: when first seen by the server's clock, from then on by our own monotonic one.

So a clock that is set, the server's or this machine's, ends no delay, no deadline and no patience before its time, nor
holds any of them up. What a new operator sees first it takes as the server has it.
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
    """The ages of what happened to runs, one event of each kind a run."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[UUID, dict[str, _Seen]] = {}

    def of(self, run: UUID, kind: str, event: Hashable, age: float) -> float:
        """Seconds since an event; `age` is what the server says of that.

        Args:
            run: to which it happened.
            kind: of event; another `event` of this kind takes the place of the one before.
            event: which one it was.
            age: in seconds; where the clock has been set back it may be negative.
        """
        now = self._clock()
        of_run = self._seen.setdefault(run, {})
        seen = of_run.get(kind)
        if seen is None or seen.event != event:
            seen = of_run[kind] = _Seen(event, max(0.0, age), now)
        return seen.age + now - seen.at

    def forget(self, run: UUID) -> None:
        """Nothing of this run is waited for any more."""
        self._seen.pop(run, None)

    def __len__(self) -> int:
        return len(self._seen)
