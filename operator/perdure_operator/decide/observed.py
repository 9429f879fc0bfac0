"""What `decide` looks at: one Workflow, its run in the store, its pods. Frozen, parsed, without clients of anything."""

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

FINISHED: Final = "Finished"
"""The condition that says whether a Workflow has ended, for ever."""

STALLED: Final = "Stalled"
"""The condition that says that it does not go on without a person, or did not end well."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which Workflow: the one of this name, whatever its UID is now."""

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
    """JSON, or what says where to read it."""
    error_type: str | None = None
    error_message: str | None = None
    pod_name: str | None = None
    restart: str | None = None
    """`status.restart`: the annotation perdure.io/restart as it was last heeded, so that each value counts once."""
    cancel_time: datetime | None = None
    """`status.cancelTime`: when the run was first seen to be cancelled; its pod has its grace period from then on."""

    def says(self, condition: str) -> bool:
        """Whether a condition is there and True."""
        found = self.conditions.get(condition)
        return found is not None and found.status == "True"

    @property
    def finished(self) -> bool:
        """Whether the Workflow has ended, for ever."""
        return self.says(FINISHED)


@dataclass(frozen=True, slots=True)
class Spec:
    """What a Workflow asks for. `input` is a JSON text.

    Attributes:
        grace_seconds: the podTemplate's terminationGracePeriodSeconds.
        brief: input, inline source and podTemplate are left out. They are as long as people make them, and none but the
            start of a run or of an attempt needs them, which reads the Workflow anew.
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
    """One Workflow object; `problem` says why its spec cannot be taken, where no schema refused it."""

    key: Key
    uid: UUID
    generation: int
    created: datetime
    spec: Spec | None
    problem: str | None = None
    status: Status = field(default_factory=Status)
    deleting: bool = False
    restart: str | None = None
    """The annotation perdure.io/restart, once a person has set it."""
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the newest ended attempt of a run ended."""

    attempt: int
    ending: AttemptEnd
    code: int | None
    signal: int | None
    detail: str | None
    at: datetime
    image: str | None = None
    """The id of its image, once that is noted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a run's row follows a Workflow's spec while it runs."""

    backoff_limit: int
    deadline_seconds: float | None
    suspend: bool
    cancel: bool
    disruption_limit: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the operator's settings say of all Workflows.

    Attributes:
        active_deadline_seconds: of a Workflow that names none.
        disruption_limit: disruptions in a row without a new checkpoint between them that a run survives.
        succeeded_pods: seconds for which the pods of a run stay that succeeded.
        failed_pods: how many pods of another run stay for their logs, the newest.
        barred_namespace: where nothing starts: the operator's own, unless that is allowed. A pod there can have the
            operator's service account and read its Secrets.
    """

    active_deadline_seconds: int | None = None
    disruption_limit: int = 20
    succeeded_pods: float = 600.0
    failed_pods: int = 3
    barred_namespace: str | None = None

    def bars(self, key: Key) -> bool:
        """Whether no run and no attempt of this Workflow may start, because of where it is."""
        return key.namespace == self.barred_namespace

    def applied(self, workflow: Workflow) -> Workflow:
        """The Workflow with what it does not say itself."""
        spec = workflow.spec
        if spec is None or spec.active_deadline_seconds is not None or self.active_deadline_seconds is None:
            return workflow
        return replace(workflow, spec=replace(spec, active_deadline_seconds=self.active_deadline_seconds))


@dataclass(frozen=True, slots=True)
class Run:
    """A run's row and what belongs to it.

    Attributes:
        claim: the token that owns the run now; None while nobody does.
        begun: whether the process of that claim has begun.
        claimed_for: seconds since that claim.
        silent: its process was seen dead: why. Only for one that has begun.
        limits: as the row has them.
        crashes: attempts in a row that crashed without a new checkpoint.
        disruptions: attempts in a row that ended by a disruption without a new checkpoint.
        due_in: seconds until the next claim is due; at most `delay`.
        deadline_in: seconds until the deadline; None without one, or while the run is suspended.
        cleanup_left: seconds for which it may clean up once it is cancelled, or what is left of them; None for none.
        cleans_up: its cancellation has reached the workflow, so that those seconds pass.
        steps: checkpoints. Counted anew at each look where nobody holds the run: that a status once saw more of them
            shows that the store has lost some.
        image: the id of the image that the attempt of `claim` runs, once that is noted.
        first_image: the first attempt whose image is noted, and that image; None before the second attempt.
        result, error: JSON texts; `result` is None where it is longer than what a status shows.
        result_bytes: how long it is.
    """

    state: RunState
    attempt: int
    claim: Claim | None
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
        """Seconds until the next claim is due; not above 0 where it is."""
        return min(self.due_in, self.delay)

    @property
    def may_clean_up(self) -> bool:
        """Whether the run is cancelled, and goes on until it has cleaned up."""
        return self.limits.cancel and self.cleanup_left is not None and self.cleanup_left > 0


class PodPhase(StrEnum):
    """status.phase of a pod."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class Stage(Enum):
    """How near a pod's container `workflow` has come to its start."""

    UNBOUND = auto()
    """No scheduler has found a node for the pod."""

    BOUND = auto()
    """It has a node, whose kubelet has not said a word about it."""

    TAKEN = auto()
    """Its kubelet makes the container: mounts volumes, pulls images, runs init containers."""

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
        claim: from its environment; with it goes the right to write.
        waiting: why its containers have not started, (reason, message): `ImagePullBackOff`, `Unschedulable`, ...
        end: of the container `workflow`.
        disrupted: it is being evicted, preempted, drained or its node is gone: why.
        finished_at: when its container ended.
        stage: how near to its start it has come.
        unready: its node has taken it, and its volumes are not mounted or its network is not there.
        progressed: when it last came nearer: scheduled, initialised, container started; the latest.
        image_id: of the container `workflow`, as its kubelet tells once it has it.
        generation: of the Workflow from which it was made (annotation perdure.io/generation); with another podTemplate
            a pod that cannot start is made anew.
    """

    name: str
    uid: str
    attempt: int
    claim: Claim | None
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
        """Whether none of its processes runs any more, as far as the API server knows."""
        return self.phase in (PodPhase.SUCCEEDED, PodPhase.FAILED)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything about one Workflow at one moment.

    The run is read after the pods: what a pod's end says is in it by then.

    Attributes:
        pods: those of this Workflow's UID. One that was created a moment ago is among them.
        store_id: of the store that was asked.
        now: by the operator's clock; no decision about life and death rests on it.
        capacity: whether another run may be active now: None, or why not.
        left_alone: why an attempt that is silent is not taken for dead, and none is started of a run that nobody holds.
        refused: what the API server said when this attempt's pod was last refused.
        refused_for: seconds since then.
        refused_generation: of the Workflow from which that pod was made.
        pod_gone: the pod of the run's claim is not among `pods`, and a GET said that there is none. A view that has not
            heard of it yet is no reason to end an attempt.
        pod_met: this operator has seen that pod. So if it is gone, somebody deleted it.
        policy: what the operator's settings say of all Workflows; what is in the spec already is.
        wanted: the run holds a place, and another run waits that could have it.
        hindered_for: seconds since this attempt was first seen to be kept from starting by what keeps it now.
        start_patience: seconds for which it may be while others wait.
        preparation: seconds that a node may take to make a pod's container, with pulling its image.
        source: the code that goes with the run, once it was read; None if the Workflow names none or it cannot be read.
        source_problem: why its ConfigMap cannot be read.
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
