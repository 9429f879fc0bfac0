"""How many steps runs have finished, as they were last counted: counting takes time in proportion to them.

Only of a run that is held is an older count good enough, where it is shown and nothing rests on it. So all counts of a
held run together take no more than a hundredth of the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from perdure.names import Claim

__all__ = ["StepCounts"]

GOOD_FOR: Final = 26e-6
"""Seconds for each step for which a count is good: a hundred times what counting it takes, measured with a million."""


@dataclass(frozen=True, slots=True)
class _Count:
    claim: Claim
    steps: int
    at: float


class StepCounts:
    """The newest counts of held runs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[UUID, _Count] = {}

    def good(self, runs: Sequence[UUID]) -> list[tuple[UUID, Claim, int]]:
        """Which of these runs need not be counted, while they are held by these claims; how many steps they have."""
        counts = [(uid, self._counts[uid]) for uid in runs if uid in self._counts]
        return [(uid, count.claim, count.steps) for uid, count in counts if self._is_good(count)]

    def saw(self, uid: UUID, claim: Claim | None, steps: int) -> None:
        """Take in a run as it was read; its steps were counted, unless they are what was good."""
        known = self._counts.get(uid)
        if claim is None:
            self._counts.pop(uid, None)
        elif known is None or (known.claim, known.steps) != (claim, steps) or not self._is_good(known):
            self._counts[uid] = _Count(claim, steps, self._clock())

    def _is_good(self, count: _Count) -> bool:
        return self._clock() - count.at < count.steps * GOOD_FOR

    def forget(self, uid: UUID) -> None:
        """There is no such run any more."""
        self._counts.pop(uid, None)

    def __len__(self) -> int:
        return len(self._counts)
