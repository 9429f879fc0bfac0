"""The place of an outcome in the order of a run, for whoever must know it before the outcome is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .delivery import Delivery

if TYPE_CHECKING:
    from .branch import Branch
    from .outcome import Outcome

__all__ = ["Place"]


class Place:
    """Taken when an outcome has come about, and left again where it turns out that the outcome is not in the store.

    Args:
        branch: whose step it is.
        started: when the step was called, in nanoseconds.
        wake: called when the outcome's turn has come.
        fingerprint: of the call.
        alone: whether the outcome goes to its branch without a turn.
    """

    __slots__ = ("alone", "branch", "delivery", "fingerprint", "started", "wake")

    def __init__(
        self,
        branch: Branch,
        started: int,
        wake: Callable[[], None],
        *,
        alone: bool,
        fingerprint: str | None = None,
    ) -> None:
        self.branch = branch
        self.started = started
        self.wake = wake
        self.fingerprint = fingerprint
        self.alone = alone
        self.delivery: Delivery | None = None

    def take(self, outcome: Outcome) -> None:
        """Accept an outcome: it gets its ordinal, and those that are accepted later wait for it."""
        lane = self.branch.attempt.lane
        outcome.fingerprint = self.fingerprint
        if self.alone:
            outcome.ordinal, outcome.clock = lane.accept()
            return
        with lane.lock:
            outcome.ordinal, outcome.clock = lane.accept()
            self.delivery = Delivery(self.branch, outcome.ordinal, outcome.clock, self.wake)
            lane.wait_live(self.delivery)

    def leave(self) -> None:
        """The outcome is not in the store and never will be: nobody waits for it any more."""
        delivery, self.delivery = self.delivery, None
        if delivery is not None:
            self.branch.attempt.lane.withdraw(delivery)
