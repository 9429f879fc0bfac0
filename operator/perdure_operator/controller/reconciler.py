"""Reconciles one Workflow: observes, decides and executes, until no action is left that changes anything.

The cache may be stale, so no irreversible action rests on it alone: the store compares before it changes a row, a
status is written at the version that was read, and before a Workflow or a pod counts as deleted, a GET confirms it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from perdure.names import Claim

from ..api.names import pod_name
from ..api.parse import parse_workflow
from ..decide import decide
from ..decide.actions import (
    Action,
    ClaimRun,
    CreatePod,
    DeleteWorkflow,
    EndRun,
    InsertRun,
    ReleaseRun,
    RequestCancel,
    WriteStatus,
)
from ..decide.observed import Key, Observed, Pod, Policy, Run, Workflow
from ..decide.places import Hindrance, hindrance
from ..errors import NotFound, Refused
from ..kube import CONFIG_MAPS, PODS, Json
from ..logs import about
from ..telemetry.run_metrics import RunMetrics
from .cache import Owner, read_pod, read_unsettled_workflow, read_workflow, seen_of
from .executor import Execution, Executor

__all__ = ["Reconciler"]

_log = logging.getLogger("perdure.operator.reconcile")

_ROUNDS = 10
_PAUSE = 1.0
"""Seconds until the next reconcile of a Workflow that was not settled after `_ROUNDS` rounds."""

_MOST_FILES = 1000
"""How many files a ConfigMap may have; without a limit, 1 MiB could hold a hundred thousand."""

_WEIGHTY = (ClaimRun, DeleteWorkflow, EndRun, ReleaseRun, RequestCancel)
"""Irreversible actions: they need a Workflow that was read in this reconcile, not one from the cache."""

_STARTING = (CreatePod, InsertRun)
"""Actions that need the long fields of a Workflow, which the cache drops."""


class FailureDetector(Protocol):
    """Watches the heartbeats of attempts."""

    def judged(self, uid: UUID, run: Run) -> Run:
        """The run with `silent` set, if its process is dead."""

    def left_alone(self, uid: UUID, run: Run | None) -> str | None:
        """Why a silent attempt does not count as dead now, or why a run is not claimed now; None if neither."""


@dataclass(slots=True)
class _Visit:
    """Facts that one reconcile has established without the cache.

    Attributes:
        fresh: the Workflow was read, or its status was written, in this reconcile.
        whole: the Workflow as it was read, with its long fields.
        claimed: the claim that the last round has made. No pod of it can exist yet.
    """

    fresh: bool = False
    whole: Workflow | None = None
    claimed: Claim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Reconciles Workflows by key.

    Attributes:
        requeue_after: adds a key to the work queue after so many seconds.
        preparation: seconds that a node may take to make a pod's container.
        start_patience: seconds for which an attempt that cannot start keeps its place while others wait.
    """

    executor: Executor
    failure_detector: FailureDetector
    run_metrics: RunMetrics
    requeue_after: Callable[[Key, float], None]
    preparation: float
    policy: Policy = field(default_factory=Policy)
    start_patience: float
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    met: dict[UUID, Claim] = field(default_factory=dict)
    """The newest claim of each run whose pod this operator has seen. If that pod is missing, it was deleted."""
    hindered: dict[UUID, tuple[Claim, Hindrance, float]] = field(default_factory=dict)
    """The reason why an attempt cannot start, and when this operator first saw that reason."""

    async def reconcile(self, key: Key) -> None:
        """Reconcile the Workflow of this name, and deleted Workflows that had this name before.

        Raises:
            ApiError, StoreError: a call failed; the key is to be tried again.
        """
        cache = self.executor.cache
        with about(workflow=str(key)):
            for uid in cache.departed(key):
                await self._see_off(key, uid)
            seen = cache.seen(key)
            if seen is None or (seen.workflow is None and not cache.pods(key, seen.uid)):
                return
            with about(run=str(seen.uid)):
                if seen.workflow is None:
                    await self._take_up(key, seen.uid)
                await self._settle(key)
                cache.lay_down(key)
                if cache.workflow(key) is None:
                    self._forget(seen.uid)

    async def _take_up(self, key: Key, uid: UUID) -> None:
        """Read a settled Workflow again, of which the cache has no fields and pods are left."""
        try:
            body = await self._workflow(key)
        except NotFound:
            self.executor.cache.saw_workflow_gone(key, uid)
            await self._see_off(key, uid)
        else:
            self.executor.cache.take_up(read_unsettled_workflow(body))

    async def _workflow(self, key: Key) -> Json:
        """Read the Workflow of this name; raises NotFound if it belongs to another instance, too."""
        return await self.executor.instance.workflow(self.executor.kube, key.namespace, key.name)

    async def _settle(self, key: Key) -> None:
        visit = _Visit()
        for _ in range(_ROUNDS):
            workflow = self.executor.cache.workflow(key)
            if workflow is None:
                return
            observed = await self._observe(workflow, visit)
            actions = decide(observed)
            needs_whole = any(isinstance(action, _STARTING) for action in actions)
            if (_needs_fresh(actions) and not visit.fresh) or (needs_whole and not _is_of(visit.whole, workflow)):
                await self._read_workflow(key, visit)
                if self.executor.cache.workflow(key) != workflow:
                    # The cache was stale, so the decision may be wrong: decide about the version that was read.
                    continue
            _log.debug("decided", extra={"actions": actions})
            done = await self.executor.apply(observed, actions, visit.whole if needs_whole else None)
            visit.claimed = done.claimed
            if done.made is not None:
                # The pod may be deleted before its event arrives. This note then shows that it existed, so that the
                # attempt ends instead of getting a second pod.
                self.met[workflow.uid] = done.made
            visit.fresh = visit.fresh or _wrote(actions, done)
            self._settle_place(observed, done)
            if done.stale:
                await self._read_workflow(key, visit)
            if not done.again:
                if done.requeue_after is not None:
                    self.requeue_after(key, done.requeue_after)
                return
        _log.warning("not settled after %s rounds", _ROUNDS)
        self.requeue_after(key, _PAUSE)

    async def _observe(self, workflow: Workflow, visit: _Visit) -> Observed:
        workflow = self.policy.applied(workflow)
        pods = self.executor.cache.pods(workflow.key, workflow.uid)
        # The run is read after the pods. A supervisor stores the end of its attempt before its container ends; in the
        # other order, an attempt that ends in between would look as if its pod had ended without a word.
        seen = await self.executor.store.observe(workflow.uid)
        gone = False
        if seen.run is not None and _misses_pod(seen.run, pods):
            # The cache may lag behind: a GET shows whether the pod was deleted, or its event has not arrived yet.
            gone = seen.run.claim == visit.claimed or not await self._find_pod(workflow, seen.run)
            if not gone:
                pods = self.executor.cache.pods(workflow.key, workflow.uid)
                seen = await self.executor.store.observe(workflow.uid)
        if seen.run is not None and seen.run.claim is not None and any(pod.claim == seen.run.claim for pod in pods):
            self.met[workflow.uid] = seen.run.claim
        run = None if seen.run is None else self.failure_detector.judged(workflow.uid, seen.run)
        if workflow.status.finished:
            self.run_metrics.forget(workflow.uid)
        elif run is not None:
            await self.run_metrics.saw(workflow.uid, run)
        # A rejection is about the pod of one attempt. The next attempt's pod may be accepted.
        refusal = self.executor.refusals.get(workflow.uid)
        if refusal is not None and (run is None or run.attempt != refusal.attempt):
            self.executor.refusals.pop(workflow.uid)
            refusal = None
        source, problem = await self._source(workflow, run)
        capacity = self.executor.capacity.refusal(workflow.key, workflow.uid)
        observed = Observed(
            workflow=workflow,
            run=run,
            pods=pods,
            store_id=seen.store_id,
            now=self.now(),
            capacity=capacity,
            left_alone=self._left_alone(workflow, run, capacity),
            refused=None if refusal is None else refusal.said,
            refused_for=0.0 if refusal is None else self.clock() - refusal.at,
            refused_generation=None if refusal is None else refusal.generation,
            pod_gone=gone,
            pod_met=run is not None and run.claim is not None and self.met.get(workflow.uid) == run.claim,
            policy=self.policy,
            wanted=self.executor.capacity.wanted(workflow.key, workflow.uid),
            start_patience=self.start_patience,
            preparation=self.preparation,
            source=source,
            source_problem=problem,
            other_owner=seen.other_owner,
        )
        return replace(observed, hindered_for=self._hindered_for(observed))

    def _hindered_for(self, observed: Observed) -> float:
        """Seconds since the attempt was first kept from starting by its current hindrance."""
        uid, run, what = observed.workflow.uid, observed.run, hindrance(observed)
        if run is None or run.claim is None or run.begun:
            self.hindered.pop(uid, None)
            return 0.0
        if what is None:
            # The kubelet may be trying again at this moment. If the same hindrance returns, its time goes on.
            return 0.0
        known = self.hindered.get(uid)
        if known is None or known[:2] != (run.claim, what):
            known = self.hindered[uid] = (run.claim, what, self.clock())
        return self.clock() - known[2]

    def _left_alone(self, workflow: Workflow, run: Run | None, capacity: str | None) -> str | None:
        """Why the failure detector holds this run back.

        While most attempts are silent, runs are claimed one at a time. A run that would not be claimed now anyway must
        not take a turn.
        """
        spec = workflow.spec
        if run is None or (run.claim is None and not run.state.ended):
            due = run is None or run.until_due <= 0
            stays = spec is None or spec.suspend or workflow.status.finished or self.policy.bars(workflow.key)
            if stays or capacity is not None or not due:
                return None
        return self.failure_detector.left_alone(workflow.uid, run)

    async def _find_pod(self, workflow: Workflow, run: Run) -> bool:
        """Whether a pod of the run's claim exists that the cache lacks; the cache has it afterwards."""
        name = pod_name(workflow.key.name, workflow.uid, run.attempt)
        try:
            body = await self.executor.kube.get(PODS, workflow.key.namespace, name)
        except NotFound:
            return False
        seen = read_pod(body)
        if seen is None or seen.owner != Owner(workflow.key, workflow.uid):
            return False
        self.executor.cache.saw_pod(seen)
        return seen.pod.claim == run.claim

    async def _source(self, workflow: Workflow, run: Run | None) -> tuple[Mapping[str, str] | None, str | None]:
        """The source files for a run that is to be inserted, or why they cannot be read."""
        spec = workflow.spec
        if run is not None or spec is None or self.policy.bars(workflow.key):
            return None, None
        if spec.source_config_map is None:
            return None, None
        try:
            found = await self.executor.kube.get(CONFIG_MAPS, workflow.key.namespace, spec.source_config_map)
        except NotFound:
            return None, f"there is no ConfigMap {spec.source_config_map!r} in this namespace"
        except Refused as refused:
            return None, f"the operator may not read it: {refused.said}"
        files = found.get("data")
        if not files:
            binary = " (binaryData is not read: files of code are text)" if found.get("binaryData") else ""
            return None, f"it has no file under data{binary}"
        if len(files) > _MOST_FILES:
            return None, f"it has {len(files)} files, and {_MOST_FILES} are the most: put the code into an image"
        return files, None

    async def _read_workflow(self, key: Key, visit: _Visit) -> None:
        """Read the Workflow, update the cache, and cancel the run of one that was deleted."""
        cache = self.executor.cache
        known = cache.seen(key)
        try:
            body = await self._workflow(key)
        except NotFound:
            if known is not None:
                cache.saw_workflow_gone(key, known.uid)
        else:
            visit.whole = parse_workflow(body)
            del body  # a large Workflow should not be in memory twice during the calls below
            cache.saw_workflow(seen_of(visit.whole))
        visit.fresh = True
        for uid in cache.departed(key):
            await self._see_off(key, uid)

    async def _see_off(self, key: Key, uid: UUID) -> None:
        """Cancel the run of a deleted Workflow, if a GET confirms the deletion."""
        try:
            body = await self._workflow(key)
        except NotFound:
            pass
        else:
            seen = read_workflow(body)
            self.executor.cache.saw_workflow(seen)
            if seen.uid == uid:
                # It exists, so the run goes on: for example, its instance's label was removed and set again.
                self.executor.cache.forget_departed(key, uid)
                return
        with about(run=str(uid)):
            state = await self.executor.store.cancel_gone(uid)
            await self.executor.store.mark_gone([uid])
            if state is not None and not state.ended:
                _log.info("the Workflow was deleted, so its run is cancelled")
        self._forget(uid)
        self.executor.capacity.settle(key, uid, held=False)
        self.executor.cache.forget_departed(key, uid)

    def _settle_place(self, observed: Observed, done: Execution) -> None:
        """Note in `capacity` whether the run holds a place, waits for one, or neither."""
        workflow, run = observed.workflow, observed.run
        if done.again:
            if done.gave_way:
                self.executor.capacity.settle(workflow.key, workflow.uid, held=False)
            elif observed.capacity is not None and done.claimed is None and run is not None and run.claim is None:
                self._stand_in_line(workflow)
            return
        held = run is not None and run.claim is not None and not run.state.ended
        wants = observed.capacity is not None and run is not None and not held and not run.state.ended
        # Other runs give way to one that waits. So a run waits only if it could be claimed at once.
        wants = wants and run is not None and run.until_due <= 0
        spec = workflow.spec
        if wants and spec is not None and not spec.suspend and not self.policy.bars(workflow.key):
            self._stand_in_line(workflow)
        else:
            self.executor.capacity.settle(workflow.key, workflow.uid, held=held)

    def _stand_in_line(self, workflow: Workflow) -> None:
        """Have the run wait for a place, and requeue the runs that may have to give way to it."""
        if not self.executor.capacity.wait(workflow.key, workflow.uid):
            return
        for uid in self.hindered:
            if (key := self.executor.cache.key_of(uid)) is not None:
                self.requeue_after(key, 0.0)

    def _forget(self, uid: UUID) -> None:
        self.run_metrics.forget(uid)
        self.met.pop(uid, None)
        self.hindered.pop(uid, None)
        self.executor.refusals.pop(uid, None)
        self.executor.budget.forget(uid)


def _is_of(whole: Workflow | None, workflow: Workflow) -> bool:
    """Whether `whole` has the long fields of this Workflow: the generation changes with the spec."""
    return whole is not None and (whole.uid, whole.generation) == (workflow.uid, workflow.generation)


def _misses_pod(run: Run, pods: list[Pod]) -> bool:
    return run.claim is not None and not run.state.ended and all(pod.claim != run.claim for pod in pods)


def _needs_fresh(actions: list[Action]) -> bool:
    """Whether an irreversible action comes before a status write, which would fail if the Workflow has changed."""
    for action in actions:
        if isinstance(action, WriteStatus) and not action.soon:
            return False
        if isinstance(action, _WEIGHTY):
            return True
    return False


def _wrote(actions: list[Action], done: Execution) -> bool:
    return not done.stale and any(isinstance(action, WriteStatus) and not action.soon for action in actions)
