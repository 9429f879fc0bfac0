"""Which namespace gets the next place: the one with fewest for its weight, and of equals the one served longest ago.

What counts are places held, not turns: by turns alone, a namespace whose runs last for hours would come to hold every
place beside one whose runs last for seconds (docs/adr/0023). One that holds none is served before any other is twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping

__all__ = ["Shares"]


class Shares:
    """Chooses; `weights` of namespaces are whole numbers from 1 on, and 1 where nothing is said."""

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
        self._served[namespace] = next(self._turns)

    def _turn(self, namespace: str) -> int:
        return self._served.get(namespace, 0)
