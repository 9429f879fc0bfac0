"""An outcome on its way to the branch that waits for it, and what the order of outcomes asks of a branch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

__all__ = ["Delivery", "Strand"]


class Strand(Protocol):
    """A branch, as far as the order of outcomes depends on it: `branch.Branch` is one."""

    path: str
    task: asyncio.Task[object] | None
    thread: int | None

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts branches as they were created, each before its children."""


class Delivery:
    """An outcome on its way to the branch that waits for it; `wake` is called once, with the run at rest."""

    __slots__ = ("branch", "cancel_requested", "clock", "ordinal", "ready", "wake")

    def __init__(self, branch: Strand, ordinal: int, clock: int, wake: Callable[[], None]) -> None:
        self.branch = branch
        self.ordinal = ordinal
        self.clock = clock
        self.wake = wake
        self.ready = False
        self.cancel_requested = False
