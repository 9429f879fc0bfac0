"""The actions that `decide` returns. Each is idempotent: it may be repeated, also after a crash in the middle.

They are executed in order. The first that fails ends the list, since later actions depend on earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim

from .observed import Limits, Pod, Status

__all__ = [
    "Action",
    "ClaimRun",
    "CreatePod",
    "DeletePod",
    "DeleteWorkflow",
    "EndRun",
    "InsertRun",
    "NoteImage",
    "PostEvent",
    "ReleaseRun",
    "RequestCancel",
    "RequeueAfter",
    "SetLimits",
    "WriteStatus",
]


@dataclass(frozen=True, slots=True)
class InsertRun:
    """Insert the run under the Workflow's UID, with its source; it may be there already."""


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """Server-side apply this status, at the observed resourceVersion: a decision on an older Workflow is not written.

    `soon`: the write may be delayed, since only counts of steps or the wording of messages differ.
    """

    status: Status
    soon: bool = False


@dataclass(frozen=True, slots=True)
class ClaimRun:
    """Claim the run for the attempt after the observed one, then observe again.

    Irreversible, so it needs a Workflow that was read in this reconcile, not one from the cache.
    """

    observed_attempt: int


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Create the pod of a claimed attempt. An existing pod with its name, Workflow and claim counts as created.

    `avoid`: nodes that the scheduler should take only if no other is left.
    """

    attempt: int
    claim: Claim = field(repr=False)
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod, by its UID; `grace` in seconds, None for the pod's own."""

    pod: Pod
    grace: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRun:
    """End a claimed attempt, and leave its run to the next one."""

    claim: Claim = field(repr=False)
    ending: AttemptEnd
    detail: str
    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class NoteImage:
    """Store the id of the image that an attempt runs."""

    claim: Claim = field(repr=False)
    image: str


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Write the limits of the spec to the run's row. A running process learns of a suspension by its next heartbeat.

    `cancel` is the row's own value: only `RequestCancel` changes it.
    """

    limits: Limits


@dataclass(frozen=True, slots=True)
class RequestCancel:
    """Cancel a run: an unclaimed one ends now, the process of a claimed one is to end it. `at_once` skips cleanup."""

    at_once: bool = False


@dataclass(frozen=True, slots=True)
class EndRun:
    """Fail a run that must not continue, claimed or not, with this error."""

    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class DeleteWorkflow:
    """Delete the Workflow object of this UID: its time to live is over."""

    uid: UUID


@dataclass(frozen=True, slots=True)
class PostEvent:
    """Post an event for `kubectl describe`."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Reconcile again after so many seconds, unless an event comes earlier."""

    after: float


Action = (
    InsertRun
    | WriteStatus
    | ClaimRun
    | CreatePod
    | DeletePod
    | ReleaseRun
    | NoteImage
    | SetLimits
    | RequestCancel
    | EndRun
    | DeleteWorkflow
    | PostEvent
    | RequeueAfter
)
