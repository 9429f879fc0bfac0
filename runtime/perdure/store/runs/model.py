"""Runs as people see them: the run, its attempts and its steps, as plain frozen data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from ...attempt_ends import AttemptEnd

__all__ = [
    "MANIFEST_OWNER",
    "AttemptInfo",
    "Ending",
    "RecordedStep",
    "RunDetail",
    "RunFilter",
    "RunInfo",
    "RunState",
    "StepInfo",
    "StepOutcome",
    "owner_of",
]

_QUEUE = "queue:"

MANIFEST_OWNER = "cluster:local"
"""Who may claim the runs of manifests on this machine. No cluster has this UID."""


def owner_of(queue: str) -> str:
    """Who may claim the runs of a queue."""
    return _QUEUE + queue


class RunState(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether it stays so."""
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


class StepOutcome(StrEnum):
    """How a step ended."""

    RESULT = "result"
    ERROR = "error"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run, without its values.

    Attributes:
        id: the name that its user gave it.
        run_id: the store's own id of it.
        attempts: how many there were; the newest has this number.
        steps: how many have a checkpoint.
        crashes: attempts in a row that ended in a crash, since the last new checkpoint.
        cancel: whether its cancellation was requested.
        error_type: `module:qualname` of the exception that it failed with.
    """

    id: str
    run_id: UUID
    owner: str
    namespace: str
    entrypoint: str
    state: RunState
    attempts: int
    steps: int
    crashes: int
    cancel: bool
    suspend: bool
    created: datetime
    started: datetime | None
    finished: datetime | None
    error_type: str | None
    error_message: str | None

    @property
    def queue(self) -> str | None:
        """Its queue; None for the run of a cluster."""
        return self.owner.removeprefix(_QUEUE) if self.owner.startswith(_QUEUE) else None


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """One try at a run by one process; `ending` is None while it goes on."""

    attempt: int
    process: str | None
    node: str | None
    image: str | None
    claimed: datetime
    begun: datetime | None
    ended: datetime | None
    ending: AttemptEnd | None
    code: int | None
    signal: int | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class StepInfo:
    """A step's checkpoint: the columns of `run_steps` and of `own_steps`. `result` and `error` are JSON texts."""

    key: str
    name: str
    ordinal: int
    attempt: int
    tries: int
    started: datetime
    finished: datetime
    result: str | None
    error: str | None

    @property
    def outcome(self) -> StepOutcome:
        """How it ended."""
        if self.error is not None:
            return StepOutcome.ERROR
        return StepOutcome.CANCELLED if self.result is None else StepOutcome.RESULT

    @property
    def duration(self) -> timedelta:
        """How long it took, with all its tries."""
        return self.finished - self.started


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A step's checkpoint without its value; `duration` is that of all its tries."""

    key: str
    ordinal: int
    attempt: int
    tries: int
    duration: timedelta
    outcome: StepOutcome


@dataclass(frozen=True, slots=True)
class RunDetail:
    """A run with all that is stored of it; values are JSON texts."""

    run: RunInfo
    input: str
    result: str | None
    error: str | None
    attempts: Sequence[AttemptInfo]
    steps: Sequence[StepInfo]


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list; None lets all pass.

    Attributes:
        states: any of these.
        created_since: at that time or later.
        created_before: before that time.
        limit: the most to list.
        after: the last run of the page before.
    """

    owner: str | None = None
    states: Sequence[RunState] | None = None
    id_prefix: str | None = None
    entrypoint: str | None = None
    created_since: datetime | None = None
    created_before: datetime | None = None
    limit: int = 100
    after: RunInfo | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended; `result` and `error` are JSON texts."""

    state: RunState
    result: str | None
    error: str | None
