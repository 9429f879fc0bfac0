"""Shows the steps of a run that another process executes, as they are stored. Reads only the newest steps each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ..store.runs.claim_one import Standing
from ..store.runs.model import RecordedStep
from .display import Display

__all__ = ["RecordedSteps"]

_OVERLAP: Final = 2000
"""How far, in ordinals, concurrent steps of a run may be stored out of order."""


class RecordedSteps:
    """The steps that a run has in the store.

    Args:
        ask: returns the steps after an ordinal.
        display: shows the steps.
    """

    def __init__(self, ask: Callable[[int], Sequence[RecordedStep]], display: Display) -> None:
        self._ask = ask
        self._display = display
        self._newest = -1
        self._seen: tuple[int, int] | None = None

    def show(self) -> None:
        """Show new steps."""
        steps = self._ask(max(-1, self._newest - _OVERLAP))
        self._newest = max([self._newest, *(step.ordinal for step in steps)])
        self._display.recorded(steps)

    def follow(self, standing: Standing) -> None:
        """Show new steps, if the counter of the process that has the run has moved."""
        counter = 0 if standing.process is None else standing.process.counter or 0
        # A pod reports the number of its steps. A worker reports none, and has one counter for all its runs.
        sign = (standing.attempt, standing.steps_done or -counter)
        if sign != self._seen:
            self.show()
            self._seen = sign
