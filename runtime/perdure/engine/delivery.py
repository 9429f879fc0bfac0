"""An outcome on its way to the branch that waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .branch import Branch

__all__ = ["Delivery"]


class Delivery:
    """An outcome on its way to the branch that waits for it; `wake` is called once, with the run at rest."""

    __slots__ = ("branch", "cancel_requested", "clock", "ordinal", "ready", "wake")

    def __init__(self, branch: Branch, ordinal: int, clock: int, wake: Callable[[], None]) -> None:
        self.branch = branch
        self.ordinal = ordinal
        self.clock = clock
        self.wake = wake
        self.ready = False
        self.cancel_requested = False
