"""Ends the tasks of an attempt that has ended: cancels each of their waits, until the tasks are gone.

Workflow code may catch a cancellation and wait again, but after the attempt's end no outcome is delivered. The body of
a step in flight is not workflow code: it is cancelled less often, so that it can close its files and connections.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..branches.attempt import Attempt
    from ..tasks.loop import BranchTask

__all__ = ["unwind"]

_log = logging.getLogger("perdure")

_PATIENCE = 10.0
"""Seconds that the tasks of an ended attempt have to unwind before they are left behind."""

_BETWEEN = 0.05
"""Seconds between two cancellations of workflow code; a shorter wait, as for the end of a connection, succeeds."""

_BETWEEN_IN_STEPS = 1.0
"""Seconds between two cancellations of a step's body."""

_left_behind: list[BranchTask] = []
"""Keeps these tasks alive. Otherwise Python would close their coroutines outside of the run, and steps that the
coroutines call on their way out would run as plain functions.
"""


async def unwind(attempt: Attempt) -> None:
    """Cancel the tasks that are left, again and again; after a time leave behind those that do not end."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    in_steps = _BETWEEN_IN_STEPS  # the end of the attempt has just cancelled all tasks
    while not attempt.scheduler.abandoned and (left := [task for task in attempt.tasks if not task.done()]):
        passed = loop.time() - began
        if passed > _PATIENCE:
            _leave_behind(attempt, left)
            break
        to_steps = passed >= in_steps
        if to_steps:
            in_steps = passed + _BETWEEN_IN_STEPS
        for task in left:
            if to_steps or not task.branch.in_step:
                task.cancel(str(attempt.signal or "the workflow has ended"))
        await asyncio.wait(left, timeout=_BETWEEN)


def _leave_behind(attempt: Attempt, left: list[BranchTask]) -> None:
    _log.warning(
        "run %s: its attempt %d has ended, and %d of its tasks have not, though they were cancelled for %g s; they are"
        " left behind and do not go on",
        attempt.run_name,
        attempt.number,
        len(left),
        _PATIENCE,
    )
    attempt.scheduler.abandoned = True
    _left_behind.extend(left)
