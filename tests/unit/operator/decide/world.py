"""A small world: a store, an API server, nodes with their kubelets, processes, and operators whose views may be old.

Nothing happens by itself: tests move each part, in any order, and can lose, delay and repeat what they like.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from perdure.names import Claim
from perdure.store.runs.model import RunState
from perdure_operator.decide.actions import (
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
from perdure_operator.decide.observed import ContainerEnd, Observed, Pod, PodPhase, Spec, Stage, Workflow
from tests.unit.operator.decide.builders import NOW, STORE, decide, spec, workflow
from tests.unit.operator.decide.model_store import CANCEL, ModelStore, Row

WEIGHTY = (ClaimRun, DeleteWorkflow, EndRun, ReleaseRun, RequestCancel)
AGAIN = (InsertRun, ClaimRun, CreatePod, ReleaseRun, RequestCancel, EndRun, SetLimits, DeletePod)
LEASE = 6.0
UNDO = ("undo-0", "undo-1")
"""The steps of a cleanup."""


@dataclass
class Process:
    """What runs in a pod: begins, does the steps that its store does not have yet, cleans up if it may, finishes."""

    claim: Claim
    steps: list[str] = field(default_factory=list)
    begun: bool = False
    alive: bool = True
    frozen: bool = False
    deaf: bool = False
    """It heeds no request to end; its node's kubelet can still kill it."""

    stuck: bool = False
    """Its step does not come to an end."""

    silent_since: float | None = None
    code: int = 0


@dataclass
class Operator:
    """One operator's views, and the actions that it has decided on and not done yet."""

    workflow: Workflow | None = None
    pods: dict[str, Pod] = field(default_factory=dict)
    todo: list[Any] = field(default_factory=list)
    seen: Any = None
    refused: tuple[int, str, float, int] | None = None
    met: Claim | None = None
    requeue_after: float = 0.0
    again: bool = False
    soon_at: float = -1000.0


class World:
    """All of it; `facts` that tests check are kept beside what the parts know."""

    def __init__(self, wanted: Spec | None = None, steps: int = 3, cleanup: float | None = None) -> None:
        self.now = 0.0
        self.store = ModelStore(STORE)
        self.workflow: Workflow | None = workflow(spec=wanted or spec(), resource_version="1")
        self.pods: dict[str, Pod] = {}
        self.processes: dict[str, Process] = {}
        self.operators = [Operator(), Operator()]
        self.steps = [f"step-{number}" for number in range(steps)]
        self.cleanup = cleanup
        self.claims = 0
        self.rounds = 0
        self.capacity: str | None = None
        self.refusing: str | None = None
        self.pulls: str | None = None
        self.image = "sha256:one"
        self.places = True
        # What happened, for tests.
        self.done_ever: dict[str, int] = {}
        self.restarts_asked = 0
        self.begins: dict[Claim, int] = {}
        self.writes: list[str] = []
        self.events: list[str] = []
        self.violations: list[str] = []
        self._tick(0.0)

    # Time.

    def _tick(self, seconds: float) -> None:
        self.now += seconds
        self.store.now = self.now
        self.store.moment = self.clock

    @property
    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.now)

    def sleep(self, seconds: float) -> None:
        self._tick(seconds)

    # People.

    def change(self, **changes: Any) -> None:
        """Edit the spec."""
        if self.workflow is not None and self.workflow.spec is not None:
            new = replace(self.workflow.spec, **changes)
            if new != self.workflow.spec:
                self._stored(replace(self.workflow, spec=new, generation=self.workflow.generation + 1))

    def annotate(self, value: str | None) -> None:
        if self.workflow is not None:
            self._stored(replace(self.workflow, restart=value))

    def delete_workflow(self) -> None:
        """In the foreground: the object stays until its pods are gone, which go by ownership."""
        if self.workflow is not None:
            self._stored(replace(self.workflow, deleting=True))
            for pod in list(self.pods.values()):
                self.delete_pod(pod.uid)

    def _stored(self, changed: Workflow) -> None:
        self.workflow = replace(changed, resource_version=str(int(changed.resource_version) + 1))

    @property
    def finished(self) -> bool:
        condition = None if self.workflow is None else self.workflow.status.conditions.get("Finished")
        return condition is not None and condition.status == "True"

    @property
    def started(self) -> datetime:
        """When its status says that it started; never, without one."""
        start = None if self.workflow is None else self.workflow.status.start_time
        return start or datetime.max.replace(tzinfo=UTC)

    @property
    def reason(self) -> str | None:
        condition = None if self.workflow is None else self.workflow.status.conditions.get("Finished")
        return None if condition is None else condition.reason

    # The store's fate.

    def swap_store(self, row: Row | None, id: UUID) -> None:
        """Another database, or an older one: connections break, so nobody goes on with what was read before."""
        self.store = ModelStore(id, row, self.now, self.clock)
        self.begins.clear()  # of those this store does not know, and it is the one that keeps a claim from a second one
        for operator in self.operators:
            operator.todo = []

    # Nodes.

    def create_pod(self, attempt: int, claim: Claim, generation: int) -> bool:
        name = f"pod-{attempt}"
        if self.refusing is not None:
            return False
        if not any(pod.name == name for pod in self.pods.values()):
            self.writes.append("create pod")
            uid = f"{name}-{claim}"
            made = Pod(
                name, uid, attempt, claim, PodPhase.PENDING, self.clock, stage=Stage.UNBOUND, generation=generation
            )
            self.pods[uid] = made if self.places else replace(made, waiting=("Unschedulable", "no node"))
            self.processes[uid] = Process(claim)
        return True

    def delete_pod(self, uid: str, *, at_once: bool = False) -> None:
        pod = self.pods.get(uid)
        if pod is None:
            return
        process = self.processes[uid]
        if at_once or pod.over or pod.phase is PodPhase.PENDING:
            self._kill(process)
            del self.pods[uid]
        else:
            self.pods[uid] = replace(pod, deleting=True)

    def _kill(self, process: Process) -> None:
        if process.alive:
            process.alive, process.silent_since = False, self.now

    def kubelet(self, uid: str) -> None:
        """The node's kubelet does the next thing about a pod, and tells the API server."""
        pod, process = self.pods.get(uid), self.processes.get(uid)
        if pod is None or process is None or process.frozen:
            return
        if pod.phase is PodPhase.PENDING:
            if not self.places and pod.node is None:
                self.pods[uid] = replace(pod, waiting=("Unschedulable", "no node"))
            elif self.pulls is not None:
                self.pods[uid] = replace(pod, node="node-1", stage=Stage.TAKEN, waiting=(self.pulls, "image"))
            elif process.alive:
                started = replace(pod, node="node-1", waiting=None, phase=PodPhase.RUNNING, stage=Stage.STARTED)
                self.pods[uid] = replace(started, progressed=self.clock, image_id=self.image)
            return
        if pod.phase is not PodPhase.RUNNING:
            return
        if pod.deleting and process.alive:
            self._stop(process)
        if not process.alive:
            if pod.deleting:
                del self.pods[uid]
                return
            phase = PodPhase.SUCCEEDED if process.code == 0 else PodPhase.FAILED
            self.pods[uid] = replace(
                pod, phase=phase, end=ContainerEnd(process.code, "Error", ""), finished_at=self.clock
            )

    def _stop(self, process: Process) -> None:
        """SIGTERM, and SIGKILL to a process that does not heed it."""
        if not process.deaf and self.store.release_run(process.claim, "released", "terminated"):
            process.code = 75
        else:
            process.code = 137
        self._kill(process)

    def node_gone(self, uid: str) -> None:
        """The pod's node is gone, or the one that a waiting pod is bound to; the control plane notices it later."""
        pod, process = self.pods.get(uid), self.processes.get(uid)
        if pod is None or process is None:
            return
        if pod.phase is PodPhase.PENDING and pod.stage is Stage.UNBOUND:
            self.pods[uid] = replace(pod, node="node-1", stage=Stage.BOUND, waiting=None, progressed=self.clock)
            process.frozen = True
        elif pod.phase is PodPhase.RUNNING:
            process.frozen = True
            process.silent_since = self.now

    def collect(self, uid: str) -> None:
        """The control plane removes a pod whose node is gone."""
        process = self.processes.get(uid)
        if process is not None and process.frozen:
            self.pods.pop(uid, None)

    # Processes.

    def process(self, uid: str) -> None:
        """A process does the next thing."""
        pod, process = self.pods.get(uid), self.processes.get(uid)
        if pod is None or process is None or not process.alive or process.frozen or pod.phase is not PodPhase.RUNNING:
            return
        if process.stuck:
            return
        row = self.store.row
        if not process.begun:
            if not self.store.begin(process.claim):
                self._leave(process, 76)
                return
            self._note_begin(process)
            process.begun = True
            row = self.store.row
            assert row is not None
            process.steps = list(row.steps)
            if row.cancel and not self.store.may_clean_up:
                self._finish(process, RunState.CANCELLED)
            elif row.suspend and not row.cancel:
                self._release_run(process)
            else:
                self.store.declare_cleanup(process.claim, self.cleanup)
            return
        if row is None or row.claim != process.claim:
            self._leave(process, 76)
            return
        left = next((step for step in self.steps if step not in process.steps), None)
        if row.cancel and (CANCEL in process.steps or not process.deaf):
            self._clean_up(process)
        elif row.suspend and not process.deaf:
            self._release_run(process)
        elif left is not None:
            self._step(process, left)
        else:
            self._finish(process, RunState.SUCCEEDED)

    def _clean_up(self, process: Process) -> None:
        """The next thing of a process whose run is cancelled."""
        left = next((step for step in (CANCEL, *UNDO) if step not in process.steps), None)
        if self.store.may_clean_up and left is not None:
            self._step(process, left)
        elif not process.deaf:
            self._finish(process, RunState.CANCELLED)

    def _step(self, process: Process, key: str) -> None:
        if key in self.done_ever and self.restarts_asked <= self.done_ever[key]:
            self.violations.append(f"{key} was finished, and runs again")
        if self.store.checkpoint(process.claim, key):
            self.done_ever[key] = self.restarts_asked
            process.steps.append(key)
        else:
            self._leave(process, 76)

    def _note_begin(self, process: Process) -> None:
        self.begins[process.claim] = self.begins.get(process.claim, 0) + 1
        if self.begins[process.claim] > 1:
            self.violations.append("two begins of a claim")
        if self.finished:
            self.violations.append("a finished run begins again")

    def _finish(self, process: Process, state: RunState) -> None:
        done = self.store.finish(process.claim, state)
        self._leave(process, {RunState.SUCCEEDED: 0, RunState.CANCELLED: 78}[state] if done else 76)

    def _release_run(self, process: Process) -> None:
        self.store.release_run(process.claim, "released", "suspended")
        self._leave(process, 75)

    def crash(self, uid: str, *, reported: bool) -> None:
        """The user's code dies; its supervisor reports that, or dies with it."""
        process = self.processes.get(uid)
        if process is None or not process.alive or self.pods[uid].phase is not PodPhase.RUNNING:
            return
        if reported and process.begun:
            self.store.release_run(process.claim, "crashed", "killed by SIGKILL")
            self._leave(process, 79)
        else:
            self._leave(process, 137)

    def _leave(self, process: Process, code: int) -> None:
        process.code = code
        self._kill(process)

    # Operators.

    def watch(self, operator: Operator) -> None:
        """Its views catch up."""
        operator.workflow = self.workflow
        operator.pods = dict(self.pods)

    def think(self, operator: Operator) -> None:
        """Observe and decide: its views may be old, what it asks the store is not."""
        operator.again = False
        if operator.workflow is None:
            operator.todo = []
            return
        operator.todo = self._decided(operator)
        weighty = next((one for one in operator.todo if isinstance(one, (*WEIGHTY, WriteStatus))), None)
        if isinstance(weighty, WEIGHTY) and operator.workflow != self.workflow:
            operator.workflow = self.workflow
            operator.todo = self._decided(operator) if operator.workflow is not None else []

    def _decided(self, operator: Operator) -> list[Any]:
        assert operator.workflow is not None
        pods = list(operator.pods.values())
        row = self.store.row
        run = self.store.read(self._silence(row))
        gone = False
        if run is not None and run.claim is not None and all(pod.claim != run.claim for pod in pods):
            found = [pod for pod in self.pods.values() if pod.claim == run.claim]
            pods += found
            gone = not found
        if run is not None and any(pod.claim == run.claim for pod in pods):
            operator.met = run.claim
        refused = operator.refused
        if refused is not None and (run is None or refused[0] != run.attempt):
            refused = operator.refused = None
        operator.seen = Observed(
            workflow=operator.workflow,
            run=run,
            pods=pods,
            store_id=self.store.id,
            now=self.clock,
            capacity=self.capacity,
            refused=refused[1] if refused else None,
            refused_for=self.now - refused[2] if refused else 0.0,
            refused_generation=refused[3] if refused else None,
            pod_gone=gone,
            pod_met=run is not None and run.claim == operator.met,
        )
        return decide(operator.seen)

    def _silence(self, row: Row | None) -> str | None:
        if row is None or row.claim is None or not row.begun:
            return None
        process = next((one for one in self.processes.values() if one.claim == row.claim), None)
        if process is None:
            return "its process was never seen"
        rests = process.silent_since is not None and self.now - process.silent_since >= LEASE
        return "its heartbeat rests" if rests else None

    def act(self, operator: Operator, *, skip_soon: bool = False) -> bool:
        """Do the next of what it decided on; False if there is nothing left to do."""
        if not operator.todo:
            return False
        action = operator.todo.pop(0)
        if isinstance(action, AGAIN):
            operator.again = True
        if not self._apply(operator, action, skip_soon=skip_soon):
            operator.todo, operator.again = [], True
        return True

    def _apply(self, operator: Operator, action: Any, *, skip_soon: bool) -> bool:
        store, seen = self.store, operator.seen.workflow
        match action:
            case InsertRun():
                deadline = seen.spec.active_deadline_seconds
                store.insert(seen.spec.backoff_limit, None if deadline is None else float(deadline), suspend=False)
            case WriteStatus(status, soon):
                if soon and (skip_soon or self.now - operator.soon_at < 30):
                    return True
                return self._write_status(operator, status)
            case ClaimRun(attempt):
                self.claims += 1
                token = Claim(UUID(int=10_000 + self.claims))
                if store.claim(attempt, token):
                    self._note_claim()
                    return True
                return False
            case CreatePod(attempt, claim):
                if not self.create_pod(attempt, claim, seen.generation):
                    operator.refused = (attempt, self.refusing or "", self.now, seen.generation)
                    return False
                operator.refused = None
                operator.pods |= {pod.uid: pod for pod in self.pods.values() if pod.attempt == attempt}
            case DeletePod(pod):
                self.writes.append("delete pod")
                self.delete_pod(pod.uid)
                operator.pods = {uid: self.pods.get(uid, one) for uid, one in operator.pods.items() if uid in self.pods}
            case ReleaseRun(claim, ending, detail):
                return store.release_run(claim, ending, detail)
            case NoteImage(claim, image):
                store.note_image(claim, image)
            case SetLimits(limits):
                store.set_limits(limits)
            case RequestCancel(at_once):
                store.request_cancel(at_once=at_once)
            case EndRun(error_type, _):
                store.end_run(error_type)
            case DeleteWorkflow(uid):
                self.writes.append("delete workflow")
                if self.workflow is not None and self.workflow.uid == uid:
                    self.workflow = operator.workflow = None
                    self.pods.clear()
            case PostEvent(reason):
                self.writes.append("event")
                self.events.append(reason)
            case RequeueAfter(after):
                operator.requeue_after = self.now + after
            case _:
                raise AssertionError(f"an action that nobody knows: {action}")
        return True

    def _write_status(self, operator: Operator, status: Any) -> bool:
        current, seen = self.workflow, operator.seen.workflow
        if current is None or current.resource_version != seen.resource_version:
            operator.workflow = current
            return False
        if self.finished and status.conditions["Finished"].status != "True":
            self.violations.append("an end was taken back")
        self.writes.append("status")
        operator.soon_at = self.now
        self._stored(replace(current, status=status))
        operator.workflow = self.workflow
        return True

    def _note_claim(self) -> None:
        row, current = self.store.row, self.workflow
        assert row is not None
        if self.finished:
            self.violations.append("a finished run was claimed")
        if current is None:
            return
        status = current.status
        if status.store_id != self.store.id:
            self.violations.append("claimed in a store that no status names")
        if row.attempt <= status.attempts or len(row.steps) < status.steps_completed:
            self.violations.append("claimed in a store that is older than the status")

    def reconcile(self, operator: Operator, *, skip_soon: bool = False) -> None:
        """Observe, decide and do, until nothing is to be done now."""
        for _ in range(10):
            self.think(operator)
            while self.act(operator, skip_soon=skip_soon):
                pass
            if not operator.again:
                return
        self.rounds += 1
