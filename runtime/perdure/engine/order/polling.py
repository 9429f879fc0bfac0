"""Decides when a run that never rests counts as polling for an outcome: a guess, and never the ground of a verdict."""

from __future__ import annotations

__all__ = ["Polling"]

_ROUNDS = 10_000
"""Rounds of the loop in which a run's tasks did nothing but `sleep(0)`, after which the run counts as polling."""

_TURNS = 1_000_000
"""Callbacks of a run without a rest, after which it counts as polling in some other way."""


class Polling:
    """Counts the callbacks of a run's tasks since the run last rested."""

    __slots__ = ("_turns", "yields")

    def __init__(self) -> None:
        self._turns = 0
        self.yields = 0
        """How often tasks of the run yielded by `sleep(0)` since the run last gave the loop any other callback."""

    def rested(self) -> None:
        """Count anew: the run rests."""
        self._turns = self.yields = 0

    def turned(self, busy: int) -> bool:
        """Count a callback that ran, with `busy` more due. Returns whether the run polls; counts anew if so."""
        self._turns += 1
        if self.yields <= _ROUNDS * busy and self._turns <= _TURNS:
            return False
        self.rested()
        return True
