"""What `decide` may ask for. Each is idempotent: done twice, or after a crash in between, it does no harm.

They are done in order, and the first that fails ends the list: what comes after it rests on it.
"""

from __future__ import annotations

from dataclasses import dataclass
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

    `soon`: it may wait, for it tells no more than steps, or in other words what was told already.
    """

    status: Status
    soon: bool = False


@dataclass(frozen=True, slots=True)
class ClaimRun:
    """Claim the run for the attempt after the observed one, then look at everything anew.

    Like all that cannot be taken back it rests on the newest Workflow: one from a view is read again before.
    """

    observed_attempt: int


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Create the pod of a claimed attempt. One of this name, Workflow and claim that exists is the one.

    `avoid`: nodes that are to be taken only where there is no other.
    """

    attempt: int
    claim: Claim
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod, by its UID; `grace` in seconds, None for the pod's own."""

    pod: Pod
    grace: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRun:
    """End a claimed attempt, and leave its run to the next one."""

    claim: Claim
    ending: AttemptEnd
    detail: str
    code: int | None = None
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class NoteImage:
    """Note in the store which image an attempt runs, by its id."""

    claim: Claim
    image: str


@dataclass(frozen=True, slots=True)
class SetLimits:
    """Write to the run's row what the spec now says; a suspended run's process is told by its next heartbeat.

    Its `cancel` is the row's own: that is `RequestCancel`'s.
    """

    limits: Limits


@dataclass(frozen=True, slots=True)
class RequestCancel:
    """Cancel: a run that nobody holds ends at once, a held one is asked to; `at_once`: whatever it has to clean up."""

    at_once: bool = False


@dataclass(frozen=True, slots=True)
class EndRun:
    """End a run that nobody may go on with, held or not: failed, with this error."""

    error_type: str
    message: str


@dataclass(frozen=True, slots=True)
class DeleteWorkflow:
    """Delete the Workflow object of this UID: its time to live is over."""

    uid: UUID


@dataclass(frozen=True, slots=True)
class PostEvent:
    """Tell the story to `kubectl describe`."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Reconcile again after so many seconds, if nothing happens before."""

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
