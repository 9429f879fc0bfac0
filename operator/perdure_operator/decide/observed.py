"""The input of `decide`: one Workflow, its run in the store, and its pods, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Any, Final
from uuid import UUID

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim
from perdure.store.runs.model import RunState

__all__ = [
    "DISRUPTION_LIMIT",
    "FINISHED",
    "STALLED",
    "Condition",
    "ContainerEnd",
    "Ended",
    "Key",
    "Limits",
    "Observed",
    "Pod",
    "PodPhase",
    "Policy",
    "Run",
    "Spec",
    "Stage",
    "Status",
    "Workflow",
]

DISRUPTION_LIMIT: Final = 20
"""How many disruptions in a row a run survives, where nobody says otherwise; the column's default in the store, too."""

FINISHED: Final = "Finished"
"""The condition that is True once a Workflow has ended, for ever."""

STALLED: Final = "Stalled"
"""The condition that is True if a Workflow needs a person's help, or has not succeeded."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """The key of a Workflow: its name. A later Workflow of the same name has the same key and another UID."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a status; `since` is its lastTransitionTime."""

    type: str
    status: str
    reason: str
    message: str
    since: datetime
    generation: int


@dataclass(frozen=True, slots=True)
class Status:
    """A Workflow's status: as it was written, or as it should be."""

    observed_generation: int | None = None
    store_id: UUID | None = None
    phase: str | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    start_time: datetime | None = None
    completion_time: datetime | None = None
    attempts: int = 0
    steps_completed: int = 0
    current_step: str | None = None
    result: str | None = None
    """JSON, or a hint where to read it."""
    error_type: str | None = None
    error_message: str | None = None
    pod_name: str | None = None
    restart: str | None = None
    """`status.restart`: the last value of the annotation perdure.io/restart that took effect; each counts only once."""
    cancel_time: datetime | None = None
    """`status.cancelTime`: when the run was first seen to be cancelled; its pod has its grace period from then on."""

    def says(self, condition: str) -> bool:
        """Whether a condition is there and True."""
        found = self.conditions.get(condition)
        return found is not None and found.status == "True"

    @property
    def finished(self) -> bool:
        """Whether the Workflow has ended."""
        return self.says(FINISHED)


@dataclass(frozen=True, slots=True)
class Spec:
    """The spec of a Workflow. `input` is a JSON text.

    Attributes:
        grace_seconds: the podTemplate's terminationGracePeriodSeconds.
        brief: input, inline source and podTemplate are left out. They may be long, and only the start of a run or of an
            attempt needs them, for which the Workflow is read again.
    """

    entrypoint: str
    input: str
    image: str | None = None
    source_inline: Mapping[str, str] | None = None
    source_config_map: str | None = None
    backoff_limit: int = 6
    active_deadline_seconds: int | None = None
    ttl_seconds_after_finished: int | None = None
    suspend: bool = False
    cancel: bool = False
    pod_template: Mapping[str, Any] = field(default_factory=dict)
    grace_seconds: float | None = None
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Workflow:
    """A Workflow object; `problem` is the error in a spec that the schema should have rejected."""

    key: Key
    uid: UUID
    generation: int
    created: datetime
    spec: Spec | None
    problem: str | None = None
    status: Status = field(default_factory=Status)
    deleting: bool = False
    restart: str | None = None
    """The value of the annotation perdure.io/restart."""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The newest ended attempt of a run."""

    attempt: int
    ending: AttemptEnd
    code: int | None
    signal: int | None
    detail: str | None
    at: datetime
    image: str | None = None
    """The id of its image, if the store has it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The fields of a run's row that follow the Workflow's spec while it runs."""

    backoff_limit: int
    deadline_seconds: float | None
    suspend: bool
    cancel: bool
    disruption_limit: int = DISRUPTION_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's settings for all Workflows.

    Attributes:
        active_deadline_seconds: for Workflows without their own.
        disruption_limit: how many disruptions in a row, without a new checkpoint between them, a run survives.
        succeeded_pods: seconds for which the pods of a succeeded run stay.
        failed_pods: how many of the newest pods of another run stay, for their logs.
        barred_namespace: in which nothing starts: the operator's own, unless that is allowed. A pod there can have the
            operator's service account and read its Secrets.
    """

    active_deadline_seconds: int | None = None
    disruption_limit: int = DISRUPTION_LIMIT
    succeeded_pods: float = 600.0
    failed_pods: int = 3
    barred_namespace: str | None = None

    def bars(self, key: Key) -> bool:
        """Whether the Workflow's namespace bars it from starting runs and attempts."""
        return key.namespace == self.barred_namespace

    def applied(self, workflow: Workflow) -> Workflow:
        """The Workflow with defaults from the settings."""
        spec = workflow.spec
        if spec is None or spec.active_deadline_seconds is not None or self.active_deadline_seconds is None:
            return workflow
        return replace(workflow, spec=replace(spec, active_deadline_seconds=self.active_deadline_seconds))


@dataclass(frozen=True, slots=True)
class Run:
    """A run's row and what belongs to it.

    Attributes:
        claim: the claim that holds the run now; None if the run is unclaimed.
        begun: whether the process of that claim has begun.
        claimed_for: seconds since that claim.
        silent: why its process counts as dead; None if it does not. Only for an attempt that has begun.
        limits: as the row has them.
        crashes: attempts in a row that crashed without a new checkpoint.
        disruptions: attempts in a row that ended by a disruption without a new checkpoint.
        due_in: seconds until the next claim is due; at most `delay`.
        deadline_in: seconds until the deadline; None without one, or while the run is suspended.
        cleanup_left: seconds that the cleanup of the cancelled run may take from now on; None without a cleanup.
        cleans_up: the cancellation has reached the workflow, so that those seconds pass.
        steps: the number of checkpoints. Counted at each observation of an unclaimed run: if a status has a larger
            number, the store has lost some. For a claimed run it may be a little old.
        image: the id of the image that the attempt of `claim` runs, if the store has it.
        first_image: the first attempt whose image the store has, and that image; None before the second attempt.
        result, error: JSON texts; `result` is None if it is too long for a status.
        result_bytes: the length of the result.
    """

    state: RunState
    attempt: int
    claim: Claim | None = field(repr=False)
    begun: bool
    limits: Limits
    claimed_for: float = 0.0
    silent: str | None = None
    crashes: int = 0
    disruptions: int = 0
    due_in: float = 0.0
    delay: float = 0.0
    deadline_in: float | None = None
    cleanup_left: float | None = None
    cleans_up: bool = False
    steps: int = 0
    current_step: str | None = None
    result: str | None = None
    result_bytes: int = 0
    error: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    last: Ended | None = None
    image: str | None = None
    first_image: tuple[int, str] | None = None

    @property
    def until_due(self) -> float:
        """Seconds until the next claim is due; 0 or less if it is due."""
        return min(self.due_in, self.delay)

    @property
    def may_clean_up(self) -> bool:
        """Whether the run is cancelled, and continues until it has cleaned up."""
        return self.limits.cancel and self.cleanup_left is not None and self.cleanup_left > 0


class PodPhase(StrEnum):
    """status.phase of a pod."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class Stage(Enum):
    """The stages of a pod until its container `workflow` starts."""

    UNBOUND = auto()
    """No scheduler has found a node for the pod."""

    BOUND = auto()
    """The pod has a node, whose kubelet has not reported anything about it."""

    TAKEN = auto()
    """The kubelet prepares the container: mounts volumes, pulls images, runs init containers."""

    STARTED = auto()


@dataclass(frozen=True, slots=True)
class ContainerEnd:
    """How the container `workflow` ended."""

    exit_code: int
    reason: str
    """`OOMKilled`, `Error`, `Completed`, ..."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a Workflow's attempt.

    Attributes:
        attempt: from its label.
        claim: from its environment; it gives the pod the right to begin the attempt.
        waiting: why its containers have not started, (reason, message): `ImagePullBackOff`, `Unschedulable`, ...
        end: of the container `workflow`.
        disrupted: why the pod is being evicted, preempted or drained, or that its node is lost.
        finished_at: when its container ended.
        stage: its stage until its container starts.
        unready: its node has taken it, but its volumes are not mounted or its network is not ready.
        progressed: when it last entered a stage: scheduled, initialised, container started.
        image_id: of the container `workflow`; the kubelet reports it with the container's start.
        generation: of the Workflow from which it was made (annotation perdure.io/generation). After a change of the
            spec, a pod that cannot start is replaced.
    """

    name: str
    uid: str
    attempt: int
    claim: Claim | None = field(repr=False)
    phase: PodPhase
    created: datetime
    node: str | None = None
    deleting: bool = False
    waiting: tuple[str, str] | None = None
    end: ContainerEnd | None = None
    disrupted: str | None = None
    finished_at: datetime | None = None
    stage: Stage = Stage.STARTED
    unready: bool = False
    progressed: datetime | None = None
    image_id: str | None = None
    generation: int | None = None

    @property
    def over(self) -> bool:
        """Whether all of its processes have ended, according to the API server."""
        return self.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED)


@dataclass(frozen=True, slots=True)
class Observed:
    """The state of one Workflow at one moment.

    The run is read after the pods, so that it has the stored end of each attempt whose pod has ended.

    Attributes:
        pods: the pods with this Workflow's UID, also one that was created a moment ago.
        store_id: of the store that has the run.
        now: by the operator's clock. No process counts as dead because of it.
        capacity: why no further run may be active now; None if one may.
        left_alone: why a silent attempt does not count as dead now, and an unclaimed run is not claimed.
        refused: the API server's message when it last rejected this attempt's pod.
        refused_for: seconds since then.
        refused_generation: of the Workflow from which that pod was made.
        pod_gone: `pods` lacks the pod of the run's claim, and a GET has found none. If the cache alone lacks it, its
            event may just be late.
        pod_met: this operator has seen that pod. So if it is missing, it was deleted.
        policy: the operator's settings for all Workflows. Its defaults are in the spec already.
        wanted: the run holds a place that another run waits for.
        hindered_for: seconds since this attempt was first kept from starting by its current hindrance.
        start_patience: seconds for which it may be kept from starting while other runs wait.
        preparation: seconds that a node may take to prepare a pod's container, including pulling its image.
        source: the files of the run's source; None if the Workflow names none, or they cannot be read.
        source_problem: why the ConfigMap of the source cannot be read.
        other_owner: the owner of this Workflow's run, if the store has it for another operator. `run` is None then.
    """

    workflow: Workflow
    run: Run | None
    pods: Sequence[Pod]
    store_id: UUID
    now: datetime
    capacity: str | None = None
    left_alone: str | None = None
    refused: str | None = None
    refused_for: float = 0.0
    refused_generation: int | None = None
    pod_gone: bool = False
    pod_met: bool = False
    policy: Policy = field(default_factory=Policy)
    wanted: bool = False
    hindered_for: float = 0.0
    start_patience: float = 60.0
    preparation: float = 3600.0
    source: Mapping[str, str] | None = None
    source_problem: str | None = None
    other_owner: str | None = None
