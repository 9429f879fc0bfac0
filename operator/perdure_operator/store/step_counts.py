"""Caches how many steps runs have finished, since counting takes time in proportion to their number.

For a claimed run, an older count is good enough, as it is only shown. Counting takes at most a hundredth of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from perdure.names import Claim

__all__ = ["StepCounts"]

GOOD_FOR: Final = 26e-6
"""Seconds for each step for which a count is good: a hundred times the time to count it, measured with a million."""


@dataclass(frozen=True, slots=True)
class _Count:
    claim: Claim = field(repr=False)
    steps: int
    at: float


class StepCounts:
    """The newest counts of held runs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[UUID, _Count] = {}

    def good(self, runs: Sequence[UUID]) -> list[tuple[UUID, Claim, int]]:
        """The runs that need not be counted while these claims hold them, with their numbers of steps."""
        counts = [(uid, self._counts[uid]) for uid in runs if uid in self._counts]
        return [(uid, count.claim, count.steps) for uid, count in counts if self._is_good(count)]

    def saw(self, uid: UUID, claim: Claim | None, steps: int) -> None:
        """Take the result of a query: a new count, or the old one if it was still good."""
        known = self._counts.get(uid)
        if claim is None:
            self._counts.pop(uid, None)
        elif known is None or (known.claim, known.steps) != (claim, steps) or not self._is_good(known):
            self._counts[uid] = _Count(claim, steps, self._clock())

    def _is_good(self, count: _Count) -> bool:
        return self._clock() - count.at < count.steps * GOOD_FOR

    def forget(self, uid: UUID) -> None:
        """Forget a run that was deleted."""
        self._counts.pop(uid, None)

    def __len__(self) -> int:
        return len(self._counts)
