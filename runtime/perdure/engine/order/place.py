"""The place that an outcome has in the order of its attempt, from when it is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .delivery import Delivery, Strand

if TYPE_CHECKING:
    from .outcome import Outcome
    from .scheduler import Scheduler

__all__ = ["Place"]


class Place:
    """An outcome's place in the run's order: taken before the outcome is stored, and left if it cannot be stored.

    Args:
        scheduler: the run's scheduler.
        branch: the branch that called the step.
        started: when the step began, in nanoseconds of `time.monotonic_ns`.
        wake: called when the outcome's turn has come.
        alone: whether the branch takes the outcome without a turn.
        fingerprint: the fingerprint of the call.
    """

    __slots__ = ("alone", "branch", "delivery", "fingerprint", "scheduler", "started", "wake")

    def __init__(
        self,
        scheduler: Scheduler,
        branch: Strand,
        started: int,
        wake: Callable[[], None],
        *,
        alone: bool,
        fingerprint: str | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.branch = branch
        self.started = started
        self.wake = wake
        self.fingerprint = fingerprint
        self.alone = alone
        self.delivery: Delivery | None = None

    def take(self, outcome: Outcome) -> None:
        """Accept an outcome: it gets its ordinal and reading, and outcomes that are accepted later wait for it."""
        scheduler = self.scheduler
        outcome.fingerprint = self.fingerprint
        if self.alone:
            outcome.ordinal, outcome.clock = scheduler.accept()
            return
        # One lock around both: outcomes must wait in the order of their ordinals.
        with scheduler.lock:
            outcome.ordinal, outcome.clock = scheduler.accept(began=outcome.tries > 0)
            self.delivery = Delivery(self.branch, outcome.ordinal, outcome.clock, self.wake)
            scheduler.wait_live(self.delivery)

    def passed(self, outcome: Outcome) -> None:
        """Move the clock to the outcome's reading, if its branch takes it without a turn."""
        if self.alone:
            self.scheduler.passed(outcome.clock)

    def leave(self) -> None:
        """Give the place up: the outcome is not in the store and never will be. Later outcomes do not wait for it."""
        delivery, self.delivery = self.delivery, None
        if delivery is not None:
            self.scheduler.withdraw(delivery)
