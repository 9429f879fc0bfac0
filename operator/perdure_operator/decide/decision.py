"""The order of the checks in `decide`, and how their result becomes a list of actions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from perdure.attempt_ends import AttemptEnd
from perdure.store.runs.model import RunState

from .actions import (
    Action,
    ClaimRun,
    CreatePod,
    DeletePod,
    DeleteWorkflow,
    InsertRun,
    ReleaseRun,
    RequestCancel,
    RequeueAfter,
    SetLimits,
    WriteStatus,
)
from .attempt import attempt_plan, invalid_spec, pod_of
from .barred import barred, namespace_refused
from .images import images_to_note
from .limits import cancel_wanted, given_up, grace_of, overdue, seconds_since, wanted_limits, with_limits
from .observed import FINISHED, Observed, Run, Spec, Status
from .places import queued_again
from .plan import Kind, Plan, Reason, Situation, going, resting, stalled
from .pod_exit import ending_of_pod
from .pods import pods_to_delete
from .store_check import doubt, end_is_missing, restart_asked
from .telling.events import events, warnings
from .telling.run_result import ending
from .telling.status import Writing, bound, seen_again, status_of, succeeded, writing
from .timeouts import DEADLINE_OVERTIME, LOOK_CAPACITY, LOOK_GONE, LOOK_RESTING, LOOK_STALLED

__all__ = ["decide"]

_SHORTEST_LOOK: Final = 0.05


def decide(observed: Observed) -> list[Action]:
    """The actions for a Workflow now, in order. A pure function that raises no error.

    If all actions are `WriteStatus`, `PostEvent`, `NoteImage`, `DeletePod` or `RequeueAfter`, the Workflow has settled:
    nothing is to be done until something changes or the time of a `RequeueAfter` has come. After any other action the
    Workflow is to be observed again at once.
    """
    if observed.workflow.status.finished:
        return _finished(observed)
    spec = _spec(observed)
    assessment = _assess(observed, spec)
    if assessment is None:
        return []
    return _ActionList(spec, assessment).actions()


@dataclass(frozen=True, slots=True)
class _Assessment:
    """The plan for a Workflow that has not finished, and whether its store is consistent with its status.

    Attributes:
        plan: for its run.
        observed: with the limits that the run is about to have.
        trusted: the status may name the store, and pods may be deleted by the store's rows.
        restarted: the store is inconsistent with the status, and a person has requested a restart with it. The counts
            in the status start anew.
        restart_noted: the status notes the restart annotation, so that its value counts only once.
    """

    plan: Plan
    observed: Observed
    trusted: bool = True
    restarted: bool = False

    restart_noted: bool = True


def _spec(observed: Observed) -> Spec | None:
    return None if observed.workflow.problem is not None else observed.workflow.spec


def _assess(observed: Observed, spec: Spec | None) -> _Assessment | None:
    workflow, run = observed.workflow, observed.run
    doubted = doubt(observed)
    cancel = cancel_wanted(observed, spec)
    restarted = doubted is not None and restart_asked(observed)
    if run is None:
        if workflow.deleting:
            return None
        if cancel:
            situation = Situation(Kind.FAILED, Reason.CANCELLED, "cancelled; this store has nothing of it to run")
            return _Assessment(Plan(situation), observed)
        if observed.other_owner is not None:
            plan = _of_another_operator(observed.other_owner)
            return _Assessment(plan, observed, trusted=False, restart_noted=False)
    if doubted is not None and not restarted and not (cancel and _ends_at_once(run, deleting=workflow.deleting)):
        message = (
            f"{doubted}; or set the annotation perdure.io/restart to a new value to go on with what this store has"
        )
        return _Assessment(stalled(Reason.CHECKPOINTS_MISSING, message, LOOK_STALLED), observed, trusted=False)
    if run is None:
        plan = _start(observed, spec)
        restart_noted = doubted is None or bool(plan.first)
        return _Assessment(
            plan, observed, restarted=restarted and restart_noted, restart_noted=restart_noted, trusted=restart_noted
        )
    first: list[Action] = []
    if spec is not None and not run.state.ended and (wanted := wanted_limits(spec, observed.policy, run)) != run.limits:
        first = [SetLimits(wanted)]
        run = with_limits(run, wanted)
        observed = replace(observed, run=run)
    plan = _run_plan(observed, run, spec, cancel=cancel, restarted=restarted)
    requeue_after = _soonest(plan.requeue_after, 1.0 if first else None, _until_deadline(run))
    return _Assessment(
        replace(plan, first=[*first, *plan.first], requeue_after=requeue_after), observed, restarted=restarted
    )


def _of_another_operator(owner: str) -> Plan:
    """A Workflow that another operator has begun, before its label came to name this one. No restart changes that."""
    message = (
        f"the store has its run as the run of another operator, {owner}: delete the Workflow and create it anew;"
        " the label perdure.io/instance says which operator a Workflow is for, and is not to be changed"
    )
    return stalled(Reason.CHECKPOINTS_MISSING, message, LOOK_STALLED)


def _ends_at_once(run: Run | None, *, deleting: bool) -> bool:
    """Whether a run that is to be cancelled ends without running code, so that even an inconsistent store may end it.

    A cleanup undoes the steps that the store has as finished. From an older store it would undo steps twice or never.
    """
    return deleting or run is None or not (run.limits.cancel and run.may_clean_up)


def _start(observed: Observed, spec: Spec | None) -> Plan:
    """The plan for a run that is to be inserted."""
    if barred(observed):
        return namespace_refused(observed)
    if spec is None:
        return invalid_spec(observed)
    if spec.source_config_map is not None and observed.source is None:
        name = spec.source_config_map
        if observed.source_problem is None:
            return going(Reason.PENDING, f"the ConfigMap {name} is being read", LOOK_GONE)
        message = f"the code cannot be read from the ConfigMap {name}: {observed.source_problem}"
        return stalled(Reason.SOURCE_MISSING, message, LOOK_STALLED / 2)
    plan = _to_claim(observed, 0, spec)
    return replace(plan, first=[InsertRun()])


def _run_plan(observed: Observed, run: Run, spec: Spec | None, *, cancel: bool, restarted: bool) -> Plan:
    """The plan for a run that the store has."""
    if run.state.ended:
        return Plan(ending(run))
    hard = run.cleanup_left is not None and (observed.workflow.deleting or spec is None)
    if (cancel and not run.limits.cancel) or (run.may_clean_up and hard):
        return Plan(then=[RequestCancel(at_once=hard)])
    if (end := overdue(run)) is not None:
        return Plan(then=[end])
    if run.claim is not None:
        if restarted and end_is_missing(observed.pods, run):
            detail = "its end is missing from the store, and a person requested a restart"
            return Plan(then=[ReleaseRun(run.claim, AttemptEnd.LOST, detail)])
        return attempt_plan(observed, run, run.claim, spec)
    if run.limits.cancel and not run.may_clean_up:
        return Plan(then=[RequestCancel()])
    if (end := given_up(run)) is not None:
        return Plan(then=[RequestCancel(at_once=True) if run.limits.cancel else end])
    if spec is None:
        return invalid_spec(observed)
    if run.state is RunState.WAITING:
        return resting(Reason.WAITING, "it waits for a signal", LOOK_RESTING)
    return _to_claim(observed, run.attempt, spec, run)


def _to_claim(observed: Observed, attempt: int, spec: Spec, run: Run | None = None) -> Plan:
    """The plan for an unclaimed run: claim it, or show why it waits."""
    if spec.suspend and not (run is not None and run.may_clean_up):
        return resting(Reason.SUSPENDED, "suspended; set spec.suspend to false to go on", LOOK_RESTING)
    if barred(observed):
        return namespace_refused(observed)
    if run is not None and (due := run.until_due) > 0:
        if run.last is not None and run.last.ending is AttemptEnd.COULD_NOT_START:
            return queued_again(run, due)
        last = "" if run.last is None else f" ended: {run.last.detail or run.last.ending}"
        message = f"attempt {run.attempt}{last}; the next one starts {run.delay:g} s after that"
        if run.last is not None and run.last.ending is AttemptEnd.STORE_UNREACHABLE:
            message += ". Pods do not reach the store, and the operator does: see to their Secret and NetworkPolicies"
            return stalled(Reason.STORE_UNREACHABLE, message, due)
        if run.last is not None and run.last.ending is AttemptEnd.BEGUN_ELSEWHERE:
            message += ". See who else may read pods here, and has the login of their Secret for the store"
            return stalled(Reason.BEGUN_ELSEWHERE, message, due)
        return going(Reason.BACKING_OFF, message, due)
    if observed.capacity is not None:
        return going(Reason.AT_CAPACITY, f"it waits until other runs end: {observed.capacity}", LOOK_CAPACITY)
    if observed.left_alone is not None:
        message = f"attempt {attempt + 1} waits for its turn: {observed.left_alone}"
        return going(Reason.STORE_SUSPECTED, message, LOOK_CAPACITY)
    situation = Situation(Kind.GOING, Reason.STARTING, f"attempt {attempt + 1} is about to start")
    return Plan(situation, then=[ClaimRun(attempt)])


def _until_deadline(run: Run) -> float | None:
    if run.deadline_in is None or run.state.ended:
        return None
    return max(0.0, run.deadline_in) + (DEADLINE_OVERTIME if run.begun else 0.0)


def _finished(observed: Observed) -> list[Action]:
    """The actions for a finished Workflow: it never starts again; its run, pods and object are cleaned up."""
    workflow, run = observed.workflow, observed.run
    status, actions = workflow.status, list[Action]()
    looks: list[float | None] = []
    if run is not None and not run.state.ended:
        # The store was restored to a state before the run's end. Only this status shows that the run has ended.
        if not run.limits.cancel or run.claim is None:
            return [RequestCancel(at_once=run.cleanup_left is not None)]
        if (leftover := _leftover(observed, run)) is not None:
            return [leftover]
        looks.append(LOOK_GONE)
    if (seen := seen_again(observed)) != status:
        actions += [WriteStatus(seen), *warnings(status, seen)]
    actions += images_to_note(observed)
    ended = status.completion_time or status.conditions[FINISHED].since
    delete, left = pods_to_delete(observed, ended=ended, succeeded=succeeded(status))
    actions += delete
    looks += left
    spec = _spec(observed)
    if spec is not None and spec.ttl_seconds_after_finished is not None and not workflow.deleting:
        rest = spec.ttl_seconds_after_finished - seconds_since(ended, observed.now)
        if rest <= 0:
            return [*actions, DeleteWorkflow(workflow.uid)]
        looks.append(rest)
    return [*actions, *_requeue(*looks)]


def _leftover(observed: Observed, run: Run) -> Action | None:
    """The action that ends an attempt that still holds the run of a finished Workflow; None while its process runs."""
    assert run.claim is not None
    pod = pod_of(observed, run.claim)
    if pod is not None and (pod.over or pod.end is not None):
        return ending_of_pod(pod, run.claim, begun=run.begun)
    if not run.begun or run.silent is not None or (pod is None and observed.pod_gone):
        return ReleaseRun(run.claim, AttemptEnd.RELEASED, "the Workflow has finished")
    return None


@dataclass(frozen=True, slots=True)
class _ActionList:
    """Builds the list of actions for a Workflow that has not finished."""

    spec: Spec | None
    assessment: _Assessment

    def actions(self) -> list[Action]:
        plan = self.assessment.plan
        if plan.then:
            return [*plan.first, *self._status_before(), *plan.then]
        if plan.situation is None:
            return [*plan.first, *_requeue(plan.requeue_after)]
        told, looks = self._status_and_pods(plan.situation)
        return [*plan.first, *told, *_requeue(plan.requeue_after, *looks)]

    def _status_before(self) -> list[Action]:
        """The status write that names the store. It must come before the first claim and the first pod.

        Otherwise a crash in between would leave a started run whose status does not show in which store it is; after a
        restore of the store it could then start a second time.
        """
        observed, plan = self.assessment.observed, self.assessment.plan
        status = observed.workflow.status
        bound_already = status.store_id == observed.store_id and status.start_time is not None
        if not any(isinstance(action, (ClaimRun, CreatePod)) for action in plan.then):
            return []
        if bound_already and not self.assessment.restarted:
            return []
        attempt = 0 if observed.run is None else observed.run.attempt
        situation = Situation(Kind.GOING, Reason.STARTING, f"attempt {attempt} is about to start")
        return [WriteStatus(bound(observed, self._status(plan.situation or situation)))]

    def _status(self, situation: Situation) -> Status:
        assessment = self.assessment
        return status_of(
            assessment.observed, situation, restarted=assessment.restarted, restart_noted=assessment.restart_noted
        )

    def _status_and_pods(self, situation: Situation) -> tuple[list[Action], list[float | None]]:
        """Write the status if it has changed, with its events, and delete pods."""
        assessment, observed = self.assessment, self.assessment.observed
        new = self._status(situation)
        if assessment.trusted and (observed.run is not None or assessment.plan.first):
            new = bound(observed, new)
        told: list[Action] = []
        match writing(observed.workflow.status, new):
            case Writing.NOW:
                told = [WriteStatus(new), *events(observed, situation, new)]
            case Writing.SOON:
                told = [WriteStatus(new, soon=True)]
            case Writing.NOT:
                pass
        told += images_to_note(observed)
        looks: list[float | None] = []
        ends = situation.kind in (Kind.SUCCEEDED, Kind.FAILED)
        if assessment.trusted:
            ended = new.completion_time if ends else None
            delete, left = pods_to_delete(observed, ended=ended, succeeded=situation.kind is Kind.SUCCEEDED)
            told += delete
            looks += left
        if situation.reason == Reason.CANCELLING:
            told, looks = self._cancelled_pod(new, told, looks)
        if ends and self.spec is not None and self.spec.ttl_seconds_after_finished is not None:
            looks.append(float(self.spec.ttl_seconds_after_finished))
        return told, looks

    def _cancelled_pod(
        self, new: Status, told: list[Action], looks: list[float | None]
    ) -> tuple[list[Action], list[float | None]]:
        """Delete the pod of a cancelled run once its process has had the pod's grace period to end."""
        observed, run = self.assessment.observed, self.assessment.observed.run
        pod = None if run is None or run.claim is None else pod_of(observed, run.claim)
        if pod is None or pod.deleting or new.cancel_time is None:
            return told, looks
        left = _time_to_end(grace_of(self.spec), run, seconds_since(new.cancel_time, observed.now))
        return ([*told, DeletePod(pod, grace=1)], looks) if left <= 0 else (told, [*looks, left])


def _time_to_end(grace: float, run: Run | None, cancelled_for: float) -> float:
    """Seconds that the process of a cancelled run still has to end by itself."""
    if run is None or not run.may_clean_up or run.cleanup_left is None:
        return grace - cancelled_for
    if run.cleans_up:
        return run.cleanup_left + DEADLINE_OVERTIME
    # The cancellation has not reached the workflow yet. An attempt that was claimed for the cleanup has to start and to
    # replay first.
    made_for_it = cancelled_for > run.claimed_for
    return run.cleanup_left + grace - run.claimed_for if made_for_it else grace - cancelled_for


def _requeue(*times: float | None) -> list[Action]:
    soonest = _soonest(*times)
    return [] if soonest is None else [RequeueAfter(max(soonest, _SHORTEST_LOOK))]


def _soonest(*times: float | None) -> float | None:
    return min((time for time in times if time is not None), default=None)
