"""The end of an attempt's tasks: whatever they await on their way out is cancelled, until they are gone.

Workflow code may catch a cancellation and await something else; there is nobody to answer that any more. The body of a
step in flight is no workflow code: it may close what it has open.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .attempt import Attempt
    from .loop import BranchTask

__all__ = ["unwind"]

_log = logging.getLogger("perdure")

_PATIENCE = 10.0
"""Seconds that the tasks of an ended attempt have to unwind before they are left behind."""

_BETWEEN = 0.05
"""Seconds between cancellations of workflow code: what only has to say goodbye to somebody comes through."""

_BETWEEN_IN_STEPS = 1.0

_left_behind: list[BranchTask] = []
"""Were they forgotten, Python would close their coroutines, and their steps would run as plain functions then."""


async def unwind(attempt: Attempt) -> None:
    """Cancel the tasks that are left, again and again; leave behind those that do not end."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    in_steps = _BETWEEN_IN_STEPS  # the attempt's end has cancelled them once
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
