"""The steps of a run that a command shows live, by its events. Reads no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ..store.runs.model import RecordedStep, StepOutcome

__all__ = ["RunView", "StepRow", "StepState"]


class StepState(StrEnum):
    """Where a step stands, as it is shown."""

    RUNNING = "running"
    RETRYING = "waiting"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


_OUTCOMES = {
    StepOutcome.RESULT: StepState.DONE,
    StepOutcome.ERROR: StepState.FAILED,
    StepOutcome.CANCELLED: StepState.CANCELLED,
}


@dataclass(slots=True)
class StepRow:
    """A step; moments on the clock that the view is given.

    Attributes:
        attempt: in which its outcome came about.
        replayed: whether the newest attempt took that from the record.
        seconds: how long it took; None while it runs.
        next_try: when it is tried again.
    """

    key: str
    state: StepState
    attempt: int
    since: float
    tries: int = 1
    replayed: bool = False
    seconds: float | None = None
    error: str | None = None
    next_try: float | None = None


@dataclass(slots=True)
class RunView:
    """A run's newest attempt and its steps, in the order in which they began."""

    attempt: int = 0
    steps: dict[str, StepRow] = field(default_factory=dict)

    def recorded(self, steps: Iterable[RecordedStep], now: float) -> None:
        """Add the stored steps."""
        for step in steps:
            row = self.steps.get(step.key)
            if row is None or row.state in (StepState.RUNNING, StepState.RETRYING, StepState.INTERRUPTED):
                self.steps[step.key] = StepRow(
                    key=step.key,
                    state=_OUTCOMES[step.outcome],
                    attempt=step.attempt,
                    since=now,
                    tries=step.tries,
                    replayed=step.attempt < self.attempt,
                    seconds=step.duration.total_seconds(),
                )

    def apply(self, event: Mapping[str, Any], now: float) -> None:
        """Take in an event of the attempt's process."""
        match event:
            case {"event": "begun", "attempt": attempt}:
                self.attempt = attempt
            case {"event": "started", "key": key}:
                self.steps.pop(key, None)
                self.steps[key] = StepRow(key, StepState.RUNNING, self.attempt, now)
            case {"event": "tried", "key": key, "tries": tries, "error": error, "pause": pause}:
                row = self._row(key, now)
                row.state, row.tries, row.error, row.next_try = StepState.RETRYING, tries + 1, error, now + pause
            case {
                "event": "finished",
                "key": key,
                "outcome": outcome,
                "tries": tries,
                "seconds": seconds,
                "error": error,
            }:
                row = self._row(key, now)
                row.state, row.tries, row.seconds = _OUTCOMES[StepOutcome(outcome)], tries, seconds
                row.error, row.next_try = error, None
            case {"event": "replayed", "key": key, "outcome": outcome, "attempt": attempt}:
                row = self._row(key, now)
                row.state, row.attempt, row.replayed = _OUTCOMES[StepOutcome(outcome)], attempt, True
            case _:
                pass  # of a newer or older process; the store has the end

    def attempt_ended(self, now: float) -> None:
        """The process is gone, and with it the steps that were under way."""
        for row in self.steps.values():
            if row.state in (StepState.RUNNING, StepState.RETRYING):
                row.state, row.seconds, row.next_try = StepState.INTERRUPTED, now - row.since, None

    def _row(self, key: str, now: float) -> StepRow:
        if key not in self.steps:
            self.steps[key] = StepRow(key, StepState.RUNNING, self.attempt, now)
        return self.steps[key]
