"""Ends running runs in time: at their deadline, after a cancellation, and after the time for their cleanup.

Each run has one timer, and a later limit replaces an earlier one. All calls are made in the dispatcher's thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from ..attempt_results import Cancelled, Failed
from ..errors import CleanupCut, DeadlineExceeded
from .executor import Running
from .timers import Timer

__all__ = ["OVERTIME", "Deadlines"]

_log = logging.getLogger("perdure.worker")

OVERTIME = 5.0
"""Seconds that a run has to end by itself once its deadline is over, or it has to stop at once."""

_CANCEL_GRACE = 15.0
"""Seconds that the code of a cancelled run has to end, beyond those of the step that is under way."""


class Deadlines:
    """The limits of the runs of one worker.

    Args:
        later: sets a timer of the dispatcher's thread: seconds, and the action.
        ended: gets a run that is over its limit, with its end.
    """

    def __init__(
        self,
        later: Callable[[float, Callable[[], None]], Timer],
        ended: Callable[[Running, Failed | Cancelled], None],
    ) -> None:
        self._later = later
        self._ended = ended

    def start(self, running: Running) -> bool:
        """Set the timer of the run's deadline, if it has one. False if it is over: then the run has ended."""
        run = running.run
        if run.deadline_in is None:
            return True
        if run.deadline_in <= 0:
            self._ended(running, Failed.of(_deadline_exceeded()))
            return False
        running.timer = self._later(run.deadline_in, partial(self._end_late, running))
        return True

    def cancel(self, running: Running, *, at_once: bool) -> None:
        """Cancel a run, unless it ends already."""
        if running.attempt is None or running.ended or running.attempt.signal is not None:
            return
        if running.attempt.cancel("the run's cancellation was requested", at_once=at_once):
            self._replace(running, _CANCEL_GRACE, partial(self._leave_cancelled, running))

    def clean_up(self, running: Running, seconds: float) -> None:
        """A cancelled run cleans up, for so many seconds at most. Its deadline counts no more."""
        self._replace(running, max(0.0, seconds), partial(self._end_cleanup, running))

    def _end_late(self, running: Running) -> None:
        # A cleanup has a limit of its own.
        if running.attempt is not None and not running.ended and not running.attempt.cleans_up:
            running.attempt.stop(_deadline_exceeded())
            # A step that does not return must not keep the run.
            running.timer = self._later(OVERTIME, lambda: self._ended(running, Failed.of(_deadline_exceeded())))

    def _leave_cancelled(self, running: Running) -> None:
        """A cancelled run whose code does not end is left behind, but for a step that is under way."""
        if running.ended or running.attempt is None:
            return
        if running.attempt.in_step:
            self._replace(running, 1.0, partial(self._leave_cancelled, running))
            return
        _log.warning("run %s is cancelled, and its code does not end: it is left behind", running.run.id)
        self._ended(running, Cancelled())

    def _end_cleanup(self, running: Running) -> None:
        if running.attempt is None or running.ended:
            return
        late = CleanupCut("the run's cleanup had not ended in its time, so it was ended")
        running.attempt.cancel(str(late), at_once=True)
        self._replace(running, OVERTIME, lambda: self._ended(running, Cancelled(Failed.of(late))))

    def _replace(self, running: Running, delay: float, action: Callable[[], None]) -> None:
        """Set the run's one timer, in place of the one that it had."""
        if running.timer is not None:
            running.timer.cancel()
        running.timer = None if running.ended else self._later(delay, action)


def _deadline_exceeded() -> DeadlineExceeded:
    return DeadlineExceeded("the run had not ended by its deadline, counted from the first begin of an attempt")
