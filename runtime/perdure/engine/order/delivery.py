"""An outcome on its way to the branch that waits for it, and the parts of a branch on which the order depends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

__all__ = ["Delivery", "Strand"]


class Strand(Protocol):
    """The parts of a branch that the scheduler uses: `branch.Branch` has them."""

    path: str
    task: asyncio.Task[object] | None
    thread: int | None

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts branches as they were created, each before its children."""


class Delivery:
    """An outcome on its way to the branch that waits for it.

    Args:
        branch: the branch that waits.
        ordinal: the outcome's number in the run's order.
        clock: the outcome's reading of the run's clock, in microseconds.
        wake: ends the wait. It is called once: at the outcome's turn, or at the attempt's end.
    """

    __slots__ = ("branch", "cancel_requested", "clock", "ordinal", "ready", "wake")

    def __init__(self, branch: Strand, ordinal: int, clock: int, wake: Callable[[], None]) -> None:
        self.branch = branch
        self.ordinal = ordinal
        self.clock = clock
        self.wake = wake
        self.ready = False
        """Whether the store has settled a live outcome, so that its turn may come. Not used for a recorded outcome."""
        self.cancel_requested = False
        """Whether workflow code has cancelled the wait. A step that is recorded as cancelled ends only then."""
