"""Before a step's body begins, its run's past is settled: what is recorded, and what fell due while nobody ran.

Otherwise a body that was in flight when a process died would begin again, only to be cut off by a timeout that is over.
"""

from __future__ import annotations

import asyncio
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from ...names import RESERVED_PREFIX
from ..order.outcome import Outcome

if TYPE_CHECKING:
    from ...definitions import StepDefinition
    from ..branches.branch import Branch

__all__ = ["settle", "settle_in_thread"]


def settle_in_thread(step: StepDefinition, branch: Branch, *, lone: bool) -> None:
    """Wait in a thread until the past is settled.

    Raises:
        ControlSignal: the attempt ends.
    """
    scheduler = branch.attempt.scheduler
    if _has_no_effects(step):
        return
    if lone:
        scheduler.settle()
        return
    gate = Lock()
    gate.acquire()
    scheduler.hold_body(gate.release)
    scheduler.pump_soon()
    gate.acquire()
    branch.attempt.check()


async def settle(step: StepDefinition, branch: Branch, *, lone: bool) -> Outcome | None:
    """As `settle_in_thread`, in a task. Returns the outcome of a step that was cancelled meanwhile, and never begins.

    Raises:
        ControlSignal: the attempt ends.
    """
    scheduler = branch.attempt.scheduler
    if _has_no_effects(step):
        return None
    if lone:
        scheduler.settle()
        return None
    begins = asyncio.get_running_loop().create_future()
    scheduler.hold_body(partial(_begin, begins))
    try:
        await begins
    except asyncio.CancelledError as error:
        branch.attempt.check()
        # It counts as under way until its outcome is stored.
        branch.attempt.enter_step()
        return Outcome(tries=0, message=error.args[0] if error.args else None)
    branch.attempt.check()
    return None


def _has_no_effects(step: StepDefinition) -> bool:
    return step.name.startswith(RESERVED_PREFIX)


def _begin(begins: asyncio.Future[None]) -> None:
    if not begins.done():
        begins.set_result(None)
