"""Measures each attempt and each run once: the times to its begin and to its first step, and its end.

Attempts that had begun before this process first observed their run are left out: the operator before it has measured
them. The store is queried only if there is a change to measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from perdure.attempt_ends import AttemptEnd

from ..decide.observed import Run
from ..store.rows import AttemptRecord

__all__ = ["RunMeter", "RunMetrics"]


class RunMeter(Protocol):
    """Takes the measurements."""

    def attempt_began(self, after: float) -> None:
        """An attempt's process began so many seconds after its claim."""

    def attempt_stepped(self, after: float) -> None:
        """An attempt's first step was begun so many seconds after its claim."""

    def attempt_ended(self, ending: AttemptEnd) -> None:
        """An attempt was seen to have ended."""

    def run_ended(self, state: str) -> None:
        """A run was seen to have ended."""


class Attempts(Protocol):
    """Looks up records of attempts."""

    async def attempts(self, uid: UUID, *, after: int) -> Sequence[AttemptRecord]:
        """The attempts at a run after the one of this number, oldest first."""


@dataclass(slots=True)
class _Measured:
    """The newest attempt that was measured in each way.

    Attributes:
        steps: checkpoints before the first one of the next attempt.
        over: the run's end was measured.
    """

    begun: int
    stepped: int
    ended: int
    steps: int
    over: bool = False


class RunMetrics:
    """Takes each observation of a run until its Workflow has finished."""

    def __init__(self, store: Attempts, meter: RunMeter) -> None:
        self._store = store
        self._meter = meter
        self._measured: dict[UUID, _Measured] = {}

    async def saw(self, uid: UUID, run: Run) -> None:
        """Measure the changes of a run since its last observation.

        Raises:
            StoreError: the store does not respond; the next observation measures them.
        """
        measured = self._measured.get(uid)
        if measured is None:
            if run.claim is None and not run.state.ended:
                return
            measured = self._measured[uid] = _first_sight(run)
        if _news(run, measured):
            oldest = min(measured.begun, measured.stepped, measured.ended)
            for record in await self._store.attempts(uid, after=oldest):
                self._measure(record, measured)
        if not run.begun:
            measured.steps = run.steps
        if run.state.ended and not measured.over:
            measured.over = True
            self._meter.run_ended(run.state.value)

    def forget(self, uid: UUID) -> None:
        """Forget a run of which no more changes come."""
        self._measured.pop(uid, None)

    def _measure(self, record: AttemptRecord, measured: _Measured) -> None:
        attempt = record.attempt
        if attempt > measured.begun and record.began_after is not None:
            measured.begun = attempt
            self._meter.attempt_began(record.began_after)
        if attempt > measured.stepped and record.stepped_after is not None:
            measured.stepped = attempt
            self._meter.attempt_stepped(record.stepped_after)
        if attempt > measured.ended and record.ending is not None:
            measured.ended = attempt
            # An ended attempt neither begins nor starts a first step any more.
            measured.begun, measured.stepped = max(measured.begun, attempt), max(measured.stepped, attempt)
            self._meter.attempt_ended(record.ending)


def _first_sight(run: Run) -> _Measured:
    """The start values for a run that is observed for the first time.

    The operator before this one has measured the begin and the first step of the current attempt, if they are over. It
    has not measured an end: after that, the status would be finished, and the run not observed any more.
    """
    before, now = run.attempt - 1, run.attempt
    return _Measured(
        begun=now if run.begun or run.state.ended else before,
        stepped=now if (run.begun and run.steps) or run.state.ended else before,
        ended=before,
        steps=run.steps,
    )


def _news(run: Run, measured: _Measured) -> bool:
    """Whether an attempt has ended, begun, or finished a step for the first time since it was last measured."""
    if run.last is not None and run.last.attempt > measured.ended:
        return True
    if not run.begun:
        return False
    return run.attempt > measured.begun or (run.attempt > measured.stepped and run.steps > measured.steps)
