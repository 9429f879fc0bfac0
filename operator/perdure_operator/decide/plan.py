"""A plan: the result of a part of the decision, with actions to execute now and the situation for the status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from .actions import Action

__all__ = ["Kind", "Plan", "Reason", "Situation", "going", "resting", "stalled"]


class Kind(Enum):
    """The rows of the table of conditions in `status`."""

    GOING = auto()
    """Reconciling: the run continues without a person."""

    RESTING = auto()
    """The run waits for a person's decision, and nothing is wrong."""

    STALLED = auto()
    """The run cannot continue until a person mends a problem."""

    SUCCEEDED = auto()
    FAILED = auto()
    """The run has failed, was cancelled, or exceeded a limit."""


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
    """The situation of a Workflow, for people. `message` names the reason to wait and, if there is one, a remedy."""

    kind: Kind
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The result of a part of the decision.

    Attributes:
        situation: for the status; None leaves the status as it is.
        first: actions that come before the write of the status.
        then: actions that change the run. The status of their result is written in the next round. A status comes
            before them only if it must name the store first.
        requeue_after: seconds until the next reconcile.
    """

    situation: Situation | None = None
    first: Sequence[Action] = ()
    then: Sequence[Action] = ()
    requeue_after: float | None = None


def going(reason: Reason, message: str, requeue_after: float) -> Plan:
    """The plan for a run that continues by itself."""
    return Plan(Situation(Kind.GOING, reason, message), requeue_after=requeue_after)


def resting(reason: Reason, message: str, requeue_after: float) -> Plan:
    """The plan for a run that waits for a person's decision."""
    return Plan(Situation(Kind.RESTING, reason, message), requeue_after=requeue_after)


def stalled(reason: Reason, message: str, requeue_after: float) -> Plan:
    """The plan for a run that a person must help."""
    return Plan(Situation(Kind.STALLED, reason, message), requeue_after=requeue_after)
