"""What a part of the decision comes to: something to do now, or a situation that a status tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from .actions import Action

__all__ = ["Kind", "Plan", "Reason", "Situation", "going", "resting", "stalled"]


class Kind(Enum):
    """The rows of the condition table."""

    GOING = auto()
    """Reconciling: it goes on by itself."""

    RESTING = auto()
    """It waits for what somebody may do, and nothing is wrong."""

    STALLED = auto()
    """It cannot go on without a person."""

    SUCCEEDED = auto()
    FAILED = auto()
    """Failed, cancelled, out of time or of patience: it has ended, and not well."""


class Reason(StrEnum):
    """The reasons of conditions."""

    PENDING = "Pending"
    AT_CAPACITY = "AtCapacity"
    STARTING = "Starting"
    UNSCHEDULABLE = "Unschedulable"
    RUNNING = "Running"
    BACKING_OFF = "BackingOff"
    SUSPENDING = "Suspending"
    CANCELLING = "Cancelling"
    STORE_SUSPECTED = "StoreSuspected"

    SUSPENDED = "Suspended"
    WAITING = "Waiting"

    INVALID_SPEC = "InvalidSpec"
    NAMESPACE_REFUSED = "NamespaceRefused"
    SOURCE_MISSING = "SourceMissing"
    CHECKPOINTS_MISSING = "CheckpointsMissing"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    POD_REFUSED = "PodRefused"
    STORE_UNREACHABLE = "StoreUnreachable"
    CANNOT_START = "CannotStart"
    BEGUN_ELSEWHERE = "BegunElsewhere"

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    DISRUPTION_LIMIT_EXCEEDED = "DisruptionLimitExceeded"
    INVALID_INPUT = "InvalidInput"
    INVALID_ENTRYPOINT = "InvalidEntrypoint"


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a Workflow stands, for people; `message` says what it waits for and, where they can help, what to do."""

    kind: Kind
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        situation: what the status is to tell; None leaves it as it is.
        first: to be done before the status may tell where the run is.
        then: what brings the run further. Told later, by the next look at what came of it; unless the status must be
            written before it.
        look: seconds until the next look.
    """

    situation: Situation | None = None
    first: Sequence[Action] = ()
    then: Sequence[Action] = ()
    requeue_after: float | None = None


def going(reason: Reason, message: str, requeue_after: float) -> Plan:
    """It goes on by itself; look again in so many seconds."""
    return Plan(Situation(Kind.GOING, reason, message), requeue_after=requeue_after)


def resting(reason: Reason, message: str, requeue_after: float) -> Plan:
    """It waits, and nothing is wrong."""
    return Plan(Situation(Kind.RESTING, reason, message), requeue_after=requeue_after)


def stalled(reason: Reason, message: str, requeue_after: float) -> Plan:
    """It waits for a person."""
    return Plan(Situation(Kind.STALLED, reason, message), requeue_after=requeue_after)
