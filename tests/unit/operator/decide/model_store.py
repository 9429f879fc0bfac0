"""A store that answers as the SQL functions do, in memory; it can be emptied, and put back to an earlier day."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim
from perdure.store.runs.model import RunState
from perdure_operator.decide.observed import Ended, Limits, Run

CRASHES = ("crashed", "lost", "never begun")
DISRUPTIONS = ("released", "evicted", "node lost")
UNREACHABLE = "store unreachable"
HINDERED = "could not start"
ELSEWHERE = "begun elsewhere"
CANCEL = "perdure.cancel"
"""The checkpoint of a cancellation that has reached the workflow."""


@dataclass
class Attempt:
    claim: Claim
    begun: bool = False
    ending: str | None = None
    detail: str | None = None
    image: str | None = None
    at: datetime | None = None


@dataclass
class Row:
    """A row of `runs`, with its steps (the attempt that made each) and its attempts."""

    backoff_limit: int
    deadline_seconds: float | None
    suspend: bool
    state: RunState = RunState.PENDING
    attempt: int = 0
    claim: Claim | None = None
    begun: bool = False
    cancel: bool = False
    crashes: int = 0
    disruptions: int = 0
    delay: float = 0.0
    available: float = 0.0
    claimed: float = 0.0
    started: float | None = None
    finished: datetime | None = None
    error: str | None = None
    cleanup: float | None = None
    """Seconds for which the workflow may clean up once it is cancelled, as it declared."""

    told: float = 0.0
    """When its cancellation reached it."""

    steps: dict[str, int] = field(default_factory=dict)
    attempts: dict[int, Attempt] = field(default_factory=dict)


@dataclass
class ModelStore:
    """One run's part of a store. Times are seconds of the world; `moment` tells the clock time of the world's now."""

    id: UUID
    row: Row | None = None
    now: float = 0.0
    moment: datetime = field(default_factory=lambda: datetime.fromtimestamp(0).astimezone())

    def clone(self) -> Row | None:
        return copy.deepcopy(self.row)

    def insert(self, backoff_limit: int, deadline: float | None, *, suspend: bool) -> None:
        if self.row is None:
            self.row = Row(backoff_limit, deadline, suspend, available=self.now)

    def claim(self, observed: int, token: Claim) -> bool:
        row = self.row
        if row is None or row.attempt != observed or row.state.ended:
            return False
        if not self.may_clean_up if row.cancel else row.suspend:
            return False
        if (last := row.attempts.get(row.attempt)) is not None and last.ending is None:
            last.ending, last.at = "superseded", self.moment
        row.attempt += 1
        row.claim, row.begun, row.state, row.claimed = token, False, RunState.PENDING, self.now
        row.attempts[row.attempt] = Attempt(token)
        return True

    def begin(self, token: Claim) -> bool:
        row = self._owned(token)
        if row is None or row.begun:
            return False
        row.begun, row.state = True, RunState.RUNNING
        row.started = self.now if row.started is None else row.started
        row.attempts[row.attempt].begun = True
        return True

    def checkpoint(self, token: Claim, key: str) -> bool:
        row = self._owned(token)
        if row is None or not row.begun or key in row.steps:
            return False
        row.steps[key] = row.attempt
        if key == CANCEL:
            row.told = self.now
        return True

    def declare_cleanup(self, token: Claim, seconds: float | None) -> None:
        row = self._owned(token)
        if row is not None and row.begun and not row.cancel:
            row.cleanup = seconds

    @property
    def cleanup_left(self) -> float | None:
        row = self.row
        if row is None or row.started is None or row.cleanup is None:
            return None
        return row.cleanup - (self.now - row.told if CANCEL in row.steps else 0.0)

    @property
    def may_clean_up(self) -> bool:
        return self.cleanup_left is not None and self.cleanup_left > 0

    def finish(self, token: Claim, state: RunState) -> bool:
        row = self._owned(token)
        if row is None or not row.begun:
            return False
        self._end_attempt(row, "completed", None)
        self._end(row, state)
        return True

    def release_run(self, token: Claim, ending: str, detail: str) -> bool:
        assert ending in (*CRASHES, *DISRUPTIONS, UNREACHABLE, HINDERED, ELSEWHERE, "superseded")
        row = self._owned(token)
        if row is None:
            return False
        count = 0
        if ending in CRASHES:
            row.crashes = 1 if self._progress(row, CRASHES) else row.crashes + 1
            count = row.crashes
        elif ending in DISRUPTIONS:
            if self._progress(row, DISRUPTIONS):
                row.disruptions = 0
            if not (row.suspend and ending == "released"):
                row.disruptions += 1
                count = row.disruptions
        if ending == ELSEWHERE:
            row.steps = {key: attempt for key, attempt in row.steps.items() if attempt != row.attempt}
        if ending in (UNREACHABLE, ELSEWHERE):
            row.delay = min(60.0, max(1.0, row.delay * 2))
        elif ending == HINDERED:
            row.delay = min(900.0, max(30.0, row.delay * 2))
        else:
            row.delay = 0.0 if count < 2 else float(min(300, 2 ** (min(count, 20) - 2)))
        row.available = self.now + row.delay
        self._end_attempt(row, ending, detail)
        given_up = RunState.CANCELLED if row.cancel else RunState.FAILED
        if row.cancel and not self.may_clean_up:
            self._end(row, RunState.CANCELLED)
        elif ending in CRASHES and row.crashes > row.backoff_limit:
            self._end(row, given_up, "perdure.errors:BackoffLimitExceeded")
        elif row.disruptions > 20:
            self._end(row, given_up, "perdure.errors:DisruptionLimitExceeded")
        else:
            row.state, row.claim, row.begun = RunState.PENDING, None, False
        return True

    def request_cancel(self, *, at_once: bool = False) -> None:
        row = self.row
        if row is not None and not row.state.ended:
            row.cancel = True
            row.cleanup = None if at_once else row.cleanup
            if row.claim is None:
                if self.may_clean_up:
                    row.state = RunState.PENDING
                else:
                    self._end(row, RunState.CANCELLED)

    def end_run(self, error_type: str) -> None:
        row = self.row
        if row is not None and not row.state.ended:
            self._end_attempt(row, "superseded", None)
            self._end(row, RunState.FAILED, error_type)

    def set_limits(self, limits: Limits) -> None:
        row = self.row
        if row is not None and not row.state.ended:
            row.backoff_limit, row.deadline_seconds = limits.backoff_limit, limits.deadline_seconds
            row.suspend = limits.suspend

    def note_image(self, token: Claim, image: str) -> None:
        for attempt in self.row.attempts.values() if self.row is not None else ():
            if attempt.claim == token and attempt.image is None:
                attempt.image = image

    def read(self, silent: str | None) -> Run | None:
        row = self.row
        if row is None:
            return None
        deadline = row.deadline_seconds
        left = None if deadline is None or row.started is None else deadline - (self.now - row.started)
        return Run(
            state=row.state,
            attempt=row.attempt,
            claim=row.claim,
            begun=row.begun,
            limits=Limits(row.backoff_limit, deadline, row.suspend, row.cancel),
            claimed_for=self.now - row.claimed,
            silent=silent if row.begun and row.claim is not None else None,
            crashes=row.crashes,
            disruptions=row.disruptions,
            due_in=row.available - self.now,
            delay=row.delay,
            deadline_in=left,
            steps=len(row.steps),
            result='"done"' if row.state is RunState.SUCCEEDED else None,
            error=row.error,
            finished=row.finished,
            last=self._last(row),
            image=None if row.claim is None else row.attempts[row.attempt].image,
            first_image=self._first_image(row),
            cleanup_left=self.cleanup_left,
            cleans_up=row.cancel and CANCEL in row.steps,
        )

    def _owned(self, token: Claim) -> Row | None:
        return self.row if self.row is not None and self.row.claim == token else None

    def _progress(self, row: Row, endings: tuple[str, ...]) -> bool:
        since = max((number for number, one in row.attempts.items() if one.ending in endings), default=0)
        return any(attempt > since for attempt in row.steps.values())

    def _end_attempt(self, row: Row, ending: str, detail: str | None) -> None:
        if row.claim is not None:
            row.attempts[row.attempt] = replace(row.attempts[row.attempt], ending=ending, detail=detail, at=self.moment)

    def _end(self, row: Row, state: RunState, error_type: str | None = None) -> None:
        row.state, row.claim, row.begun, row.finished = state, None, False, self.moment
        row.error = None if error_type is None else f'{{"type": "{error_type}", "message": "m"}}'

    def _last(self, row: Row) -> Ended | None:
        for number, one in sorted(row.attempts.items(), reverse=True):
            if one.ending is not None and one.at is not None:
                return Ended(number, AttemptEnd(one.ending), None, None, one.detail, one.at, one.image)
        return None

    def _first_image(self, row: Row) -> tuple[int, str] | None:
        noted = ((number, one.image) for number, one in sorted(row.attempts.items()) if one.image is not None)
        return next(noted, None) if row.attempt > 1 else None
