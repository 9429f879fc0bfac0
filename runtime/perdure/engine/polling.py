"""When a run that never rests is taken to poll for an outcome. This is a guess, so no verdict ever rests on it."""

from __future__ import annotations

__all__ = ["Polling"]

_ROUNDS = 10_000
"""Rounds of the loop in which tasks did nothing but `sleep(0)`, after which they are taken to poll for an outcome."""

_TURNS = 1_000_000
"""Callbacks of a run without a rest, after which it is taken to poll in some other way."""


class Polling:
    """What a run's tasks did since it was last at rest."""

    __slots__ = ("_turns", "yields")

    def __init__(self) -> None:
        self._turns = 0
        self.yields = 0
        """Times that a task of the run yielded by `sleep(0)`, with nothing else given to the loop in between."""

    def rested(self) -> None:
        """The run came to rest."""
        self._turns = self.yields = 0

    def turned(self, busy: int) -> bool:
        """A callback ran, and so many are due; whether the run polls."""
        self._turns += 1
        if self.yields <= _ROUNDS * busy and self._turns <= _TURNS:
            return False
        self.rested()
        return True
