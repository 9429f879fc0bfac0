"""Chooses the namespace that gets the next place: the one with fewest for its weight, then the one served longest ago.

Held places count, not turns. If turns counted, a namespace whose runs last for hours would in time hold every place
beside one whose runs last for seconds (docs/adr/0023). A namespace without a place is served before any other is twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from typing import Final

__all__ = ["REMEMBERED", "Shares"]

REMEMBERED: Final = 10_000
"""Of so many namespaces it is known when they were served last. Others count as never served."""


class Shares:
    """Fair shares of namespaces; `weights` are whole numbers from 1 on, and 1 for a namespace that is missing."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = weights
        self._served: dict[str, int] = {}
        self._turns = itertools.count(1)

    def next(self, waiting: Collection[str], held: Mapping[str, int]) -> str | None:
        """Which of the namespaces that wait and may have one gets the next place; of two new ones, the first."""
        return min(
            waiting, key=lambda one: (held.get(one, 0) / self._weights.get(one, 1), self._turn(one)), default=None
        )

    def served(self, namespace: str) -> None:
        """A namespace got a place."""
        self._served.pop(namespace, None)  # so that they stand in the order of their turns
        self._served[namespace] = next(self._turns)
        if len(self._served) > REMEMBERED:
            del self._served[next(iter(self._served))]

    def _turn(self, namespace: str) -> int:
        return self._served.get(namespace, 0)
