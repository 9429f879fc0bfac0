"""Executes the actions of `decide` in order. Every action may be repeated; the first that fails ends the list."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim

from ..api.names import API_VERSION, KIND, pod_name
from ..api.pod import PodSettings, build_pod
from ..api.status_document import status_document
from ..decide import places
from ..decide.actions import (
    Action,
    ClaimRun,
    CreatePod,
    DeletePod,
    DeleteWorkflow,
    EndRun,
    InsertRun,
    NoteImage,
    PostEvent,
    ReleaseRun,
    RequestCancel,
    RequeueAfter,
    SetLimits,
    WriteStatus,
)
from ..decide.observed import Key, Observed, Workflow
from ..errors import AlreadyExists, Conflict, NotFound, Refused
from ..kube import PODS, WORKFLOWS, Json, Kube
from ..store.store import OperatorStore
from .cache import Cache, Owner, read_pod, read_unsettled_workflow
from .capacity import Capacity
from .event_recorder import EventRecorder
from .instances import Instance
from .status_budget import StatusBudget

__all__ = ["Execution", "Executor", "Refusal", "Refusals"]

_log = logging.getLogger("perdure.operator.apply")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server has rejected a pod: its message, when that was, and from which generation the pod was made."""

    attempt: int
    said: str
    at: float
    generation: int


Refusals = dict[UUID, Refusal]


@dataclass(slots=True)
class Execution:
    """The result of a list of actions.

    Attributes:
        again: observe the Workflow and decide once more.
        stale: the Workflow has changed since it was read: read it again first.
        requeue_after: seconds until the next reconcile.
        claimed: the claim that was made; its pod does not exist yet.
        made: the claim whose pod was created. That pod may be deleted before its event arrives.
        gave_way: an attempt that could not start was released, so that another run gets its place.
    """

    again: bool = False
    stale: bool = False
    requeue_after: float | None = None
    claimed: Claim | None = None
    made: Claim | None = None
    gave_way: bool = False

    def look(self, after: float) -> None:
        """Requeue after so many seconds, unless an earlier time was set."""
        self.requeue_after = after if self.requeue_after is None else min(self.requeue_after, after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Executes actions; `gave_way` counts places that were given back, by namespace and reason."""

    kube: Kube
    store: OperatorStore
    cache: Cache
    capacity: Capacity
    budget: StatusBudget
    events: EventRecorder
    refusals: Refusals
    pods: PodSettings
    instance: Instance
    gave_way: Callable[[str, str], None]
    clock: Callable[[], float] = time.monotonic

    async def apply(self, observed: Observed, actions: Sequence[Action], whole: Workflow | None = None) -> Execution:
        """Execute actions; `whole` is the observed Workflow with its long fields, if a run or an attempt is to start.

        Raises:
            ApiError, StoreError: an action failed; those after it were not executed.
        """
        done = Execution()
        for action in actions:
            if not await self._one(observed, action, whole, done):
                done.again = True
                break
        return done

    async def _one(self, observed: Observed, action: Action, whole: Workflow | None, done: Execution) -> bool:
        """Execute one action. Returns whether the next ones may follow."""
        workflow = observed.workflow
        match action:
            case WriteStatus():
                return await self._write_status(workflow, action, done)
            case PostEvent():
                await self.events.post(workflow, action)
            case RequeueAfter(after):
                done.look(after)
            case NoteImage(claim, image):
                await self.store.note_image(workflow.uid, claim, image)
            case DeletePod():
                await self._delete_pod(workflow, action)
            case DeleteWorkflow(uid):
                return await self._delete_workflow(workflow.key, uid, done)
            case CreatePod():
                assert whole is not None
                done.again = True
                return await self._create_pod(whole, action, done)
            case InsertRun():
                assert whole is not None
                done.again = True
                inline = None if whole.spec is None else whole.spec.source_inline
                await self.store.insert(whole, inline if observed.source is None else observed.source)
            case _:
                done.again = True
                return await self._to_store(observed, action, done)
        return True

    async def _to_store(
        self,
        observed: Observed,
        action: ClaimRun | ReleaseRun | SetLimits | RequestCancel | EndRun,
        done: Execution,
    ) -> bool:
        key, uid = observed.workflow.key, observed.workflow.uid
        match action:
            case ClaimRun(attempt):
                return await self._claim(observed.workflow, attempt, done)
            case ReleaseRun(ending=AttemptEnd.COULD_NOT_START) if not self.capacity.give_way(key, uid):
                return False  # another run has given way meanwhile
            case ReleaseRun(claim, ending, detail, code, signal):
                _log.info("an attempt ended: %s", ending, extra={"ending": ending, "detail": detail})
                handed = await self.store.release_run(uid, claim, ending, detail=detail, code=code, signal=signal)
                if handed and ending == AttemptEnd.COULD_NOT_START and (what := places.hindrance(observed)) is not None:
                    done.gave_way = True
                    self.gave_way(observed.workflow.key.namespace, what)
                return handed
            case SetLimits(limits):
                await self.store.set_limits(uid, limits)
                return True
            case RequestCancel(at_once):
                await self.store.request_cancel(uid, at_once=at_once)
                return True
            case EndRun(error_type, message):
                return await self.store.end_run(uid, error_type, message)

    async def _claim(self, workflow: Workflow, observed_attempt: int, done: Execution) -> bool:
        # The place comes first: a run that is claimed without one would exceed the limit until its pod has ended.
        if not self.capacity.take(workflow.key, workflow.uid):
            return False
        done.claimed = await self.store.claim(workflow.uid, observed_attempt)
        if done.claimed is not None:
            _log.info("claimed for attempt %s", observed_attempt + 1, extra={"attempt": observed_attempt + 1})
        return done.claimed is not None

    async def _write_status(self, workflow: Workflow, action: WriteStatus, done: Execution) -> bool:
        if action.soon and (wait := self.budget.wait(workflow.uid)) > 0:
            done.look(wait)
            return True
        body: Json = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": workflow.key.name,
                "uid": str(workflow.uid),
                # The API server rejects the write if the Workflow has changed since it was read: the decision, and
                # with it this status, may be wrong for the new version.
                "resourceVersion": workflow.resource_version,
            },
            "status": status_document(action.status),
        }
        try:
            written = await self.kube.apply_status(WORKFLOWS, workflow.key.namespace, workflow.key.name, body)
        except (Conflict, NotFound):
            done.stale = True
            return False
        self.budget.written(workflow.uid)
        self.cache.saw_workflow(read_unsettled_workflow(written))
        return True

    async def _create_pod(self, workflow: Workflow, action: CreatePod, done: Execution) -> bool:
        namespace = workflow.key.namespace
        try:
            created = await self.kube.create(PODS, namespace, build_pod(workflow, action, self.pods), strict=True)
        except AlreadyExists:
            try:
                created = await self.kube.get(
                    PODS, namespace, pod_name(workflow.key.name, workflow.uid, action.attempt)
                )
            except NotFound:
                return False  # it was deleted in between
        except Refused as refused:
            self._refused(workflow, action.attempt, refused.said)
            return False
        except NotFound as gone:  # the namespace
            self._refused(workflow, action.attempt, gone.said)
            return False
        seen = read_pod(created)
        if seen is None or seen.owner != Owner(workflow.key, workflow.uid):
            # Another pod has the attempt's name. The operator must not delete a pod that is not its own.
            name = pod_name(workflow.key.name, workflow.uid, action.attempt)
            self._refused(workflow, action.attempt, f"pod {name} already exists and is not this Workflow's: delete it")
            return False
        self.refusals.pop(workflow.uid, None)
        self.cache.saw_pod(seen)
        done.made = seen.pod.claim
        _log.info("pod %s is there", seen.pod.name, extra={"pod": seen.pod.name, "attempt": action.attempt})
        return True

    def _refused(self, workflow: Workflow, attempt: int, said: str) -> None:
        _log.warning("the pod was refused: %s", said, extra={"attempt": attempt})
        self.refusals[workflow.uid] = Refusal(attempt, said, self.clock(), workflow.generation)

    async def _delete_pod(self, workflow: Workflow, action: DeletePod) -> None:
        pod = action.pod
        try:
            answer = await self.kube.delete(PODS, workflow.key.namespace, pod.name, uid=pod.uid, grace=action.grace)
        except (NotFound, Conflict):
            answer = {}
        seen = read_pod(answer) if answer.get("kind") == "Pod" else None
        if seen is None:
            self.cache.saw_pod_gone(Owner(workflow.key, workflow.uid), pod.uid)
        else:
            self.cache.saw_pod(seen)
        _log.info("pod %s was deleted", pod.name, extra={"pod": pod.name})

    async def _delete_workflow(self, key: Key, uid: UUID, done: Execution) -> bool:
        try:
            await self.kube.delete(WORKFLOWS, key.namespace, key.name, uid=str(uid))
        except (NotFound, Conflict):
            done.stale = True
            return False
        return True
