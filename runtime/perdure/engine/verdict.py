"""What it means that a run is at rest on replay and has not called a step that is recorded.

If every wait of it is for something of ours, no further call can come: it does not repeat what it did. If it waits for
something that Perdure cannot see, nothing follows from that, for however long; it is said then where it waits.
"""

from __future__ import annotations

import gc
import logging
import threading
from contextvars import Context
from typing import TYPE_CHECKING

from .journal import Recorded
from .placing import unseen

if TYPE_CHECKING:
    from .attempt import Attempt

__all__ = ["Verdict"]

_log = logging.getLogger("perdure")

_SAID_AFTER = 5.0
"""Seconds of such a wait after which it is said."""


class Verdict:
    """The verdict on one attempt."""

    __slots__ = ("_asked", "_attempt")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._asked: Recorded | None = None

    def at_rest(self, head: Recorded) -> None:
        """The run is at rest, and `head`, whose turn it is, was not called."""
        attempt = self._attempt
        if attempt.signal is not None:
            return
        if unseen(attempt) is None:
            if attempt.loop is not None:
                # A generator that is garbage already may have a step in its `finally`.
                gc.collect()
            if attempt.scheduler.rests():
                attempt.stop(attempt.journal.never_called(head))
        elif self._asked is not head:
            self._asked = head
            self._later(head)

    def _later(self, head: Recorded) -> None:
        if self._attempt.loop is not None:
            self._attempt.loop.real_later(_SAID_AFTER, lambda: self._say(head))
        else:
            timer = threading.Timer(_SAID_AFTER, self._say, (head,))
            timer.daemon = True
            Context().run(timer.start)

    def _say(self, head: Recorded) -> None:
        attempt = self._attempt
        if head.consumed or attempt.journal.head() is not head or attempt.over.is_set() or attempt.signal is not None:
            return
        where = unseen(attempt)
        if where is None:
            return
        _log.warning(
            "run %r has not called step %r again, which it had called in attempt %d, and waits for something that"
            " Perdure cannot see: %s. It goes on when that ends",
            attempt.run_name,
            head.key,
            head.attempt,
            where,
        )
        attempt.waits(f"(waits outside: {where})")
