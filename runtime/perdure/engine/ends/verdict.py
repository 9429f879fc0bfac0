"""The verdict on a run that is at rest on replay, and has not called the recorded step whose turn it is.

If every wait of the run is for something of ours, no further call can come: the workflow does not repeat its recorded
calls, and the run ends with NondeterminismError. If the run waits for something that Perdure cannot see, there is no
verdict, however long the wait takes; after some seconds the log and the status show where the run waits.
"""

from __future__ import annotations

import gc
import logging
import threading
from contextvars import Context
from typing import TYPE_CHECKING

from ..order.journal import Recorded
from ..steps.placing import unseen

if TYPE_CHECKING:
    from ..branches.attempt import Attempt

__all__ = ["Verdict"]

_log = logging.getLogger("perdure")

_SAID_AFTER = 5.0
"""Seconds of a wait that Perdure cannot see, after which the log and the status show it."""


class Verdict:
    """The verdict on one attempt."""

    __slots__ = ("_asked", "_attempt", "_said")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._asked: Recorded | None = None
        """The recorded step at whose turn the run was last found in a wait that Perdure cannot see."""
        self._said: Recorded | None = None
        """The last one at whose turn that wait was shown."""

    def at_rest(self, head: Recorded) -> None:
        """Judge the run: it is at rest, and no branch has called the step `head`, whose turn it is."""
        attempt = self._attempt
        if attempt.signal is not None:
            return
        if unseen(attempt) is None:
            if attempt.loop is not None:
                # A generator that is garbage but not collected yet may call a step in its `finally`. The collection
                # gives the end of an async generator to the loop, and then the run does not rest any more.
                gc.collect()
            if attempt.scheduler.rests():
                attempt.stop(attempt.journal.never_called(head))
            return
        if not attempt.scheduler.outside or self._said is head:
            # What the run waits for may be set by a step that is not recorded. That begins early then: what is recorded
            # may never come without it.
            attempt.scheduler.begin_held()
        if self._asked is not head:
            self._asked = head
            self._later(head)

    def _later(self, head: Recorded) -> None:
        if self._attempt.loop is not None:
            self._attempt.loop.real_later(_SAID_AFTER, lambda: self._say(head))
        else:
            timer = threading.Timer(_SAID_AFTER, self._say, (head,))
            timer.daemon = True
            # In an empty context: `thread_guards` would count the timer's thread as one of workflow code.
            Context().run(timer.start)

    def _say(self, head: Recorded) -> None:
        attempt = self._attempt
        if head.consumed or attempt.journal.head() is not head or attempt.over.is_set() or attempt.signal is not None:
            return
        where = unseen(attempt)
        if where is None:
            return
        self._said = head
        attempt.scheduler.begin_held()
        _log.warning(
            "run %r has not called %s %r again, which it had called in attempt %d, and waits for something that"
            " Perdure cannot see: %s. It goes on when that ends",
            attempt.run_name,
            head.kind,
            head.key,
            head.attempt,
            where,
        )
        attempt.waits(f"(waits outside: {where})")
