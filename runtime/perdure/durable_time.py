"""The time of a run: what its workflow reads, and waits for, is the same on every replay.

Both go by the run's clock, which the store keeps: it goes on while no process runs. So a sleep ends when it would have
ended, whatever died meanwhile, and neither costs a statement.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from .definitions import StepDefinition
from .engine.branches.context import branch_here
from .engine.steps.step_call import call
from .engine.threads.naps import Nap
from .errors import StepCallError
from .recorded_values import is_recorded

if TYPE_CHECKING:
    from .engine.branches.branch import Branch

__all__ = ["now", "seconds_until", "sleep", "sleep_until"]


def _now() -> datetime:
    return datetime.now(UTC)


# What runs recorded whose library read the time once and stored it.
_NOW = StepDefinition(_now, "perdure.now", reserved=True)


def now() -> datetime:
    """The time, in UTC: in a workflow that of the last event (a step's outcome, the end of a sleep or of a timeout).

    Outside a workflow, and in a step, the time of the system.
    """
    branch = branch_here("perdure.now")
    if branch is None:
        return _now()
    if is_recorded(branch, _NOW):
        return call(_NOW, branch, (), {})  # type: ignore[return-value]
    return _now_in(branch)


def _now_in(branch: Branch) -> datetime:
    attempt = branch.attempt
    attempt.check()
    return attempt.claimed.started.astimezone(UTC) + timedelta(microseconds=round(attempt.scheduler.now * 1e6))


def sleep(seconds: float) -> None:
    """Wait, in a sync workflow: until `seconds` after the last event, by the run's clock.

    Outside a workflow, and in a step, `time.sleep`. Async code sleeps with `asyncio.sleep`, which is as durable.

    Raises:
        ValueError: `seconds` is negative or not finite.
        StepCallError: an async workflow calls it.
        ControlSignal: the attempt ends.
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise ValueError(f"a sleep takes 0 or more seconds, not {seconds!r}")
    branch = branch_here("perdure.sleep")
    if branch is None:
        time.sleep(seconds)
        return
    _must_not_block(branch, "perdure.sleep", "asyncio.sleep")
    _rest(branch, seconds)


def sleep_until(when: datetime) -> None:
    """Wait, in a sync workflow, until a moment; return at once if it is past. Async code has `perdure.aio.sleep_until`.

    Raises:
        ValueError: `when` has no time zone.
        StepCallError: an async workflow calls it.
        ControlSignal: the attempt ends.
    """
    branch = branch_here("perdure.sleep_until")
    if branch is not None:
        _must_not_block(branch, "perdure.sleep_until", "perdure.aio.sleep_until")
    if (seconds := seconds_until(when, branch)) <= 0:
        return
    if branch is None:
        time.sleep(seconds)
    else:
        _rest(branch, seconds)


def seconds_until(when: datetime, branch: Branch | None) -> float:
    """Seconds from now until a moment, by the run's clock in a branch, by the system's elsewhere.

    Raises:
        ValueError: `when` has no time zone.
    """
    if when.utcoffset() is None:
        raise ValueError(f"{when!r} has no time zone, so it is no moment: give it one, such as tzinfo=datetime.UTC")
    return (when - (_now() if branch is None else _now_in(branch))).total_seconds()


def _must_not_block(branch: Branch, name: str, instead: str) -> None:
    if branch.task is not None:
        raise StepCallError(f"{name} would block the event loop of an async workflow: 'await {instead}(...)'")


def _rest(branch: Branch, seconds: float) -> None:
    branch.attempt.check()
    try:
        Nap(branch).rest(seconds)
    finally:
        branch.attempt.check()
