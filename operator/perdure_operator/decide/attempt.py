"""Decides about a claimed run: its pod must be created, is starting, runs, or has ended without a stored end."""

from __future__ import annotations

from typing import Final

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim

from .actions import ClaimRun, CreatePod, ReleaseRun
from .barred import barred
from .limits import seconds_since
from .observed import Ended, Observed, Pod, PodPhase, Run, Spec, Stage
from .places import NO_CONTAINER, NO_IMAGE, UNSCHEDULABLE, give_way
from .plan import Plan, Reason, going, stalled
from .pod_exit import disruption, ending_of_pod, ending_of_silence
from .timeouts import (
    BEGIN_TIME,
    LOOK_BEGIN,
    LOOK_CAPACITY,
    LOOK_GONE,
    LOOK_REFUSED,
    LOOK_RUNNING,
    LOOK_STALLED,
    LOOK_START,
    START_DEADLINE,
    TAKE_UP_DEADLINE,
)

__all__ = ["attempt_plan", "invalid_spec", "pod_of"]

_INITIALISING: Final = "PodInitializing"


def pod_of(observed: Observed, claim: Claim) -> Pod | None:
    """The pod of a claim."""
    return next((pod for pod in observed.pods if pod.claim == claim), None)


def attempt_plan(observed: Observed, run: Run, claim: Claim, spec: Spec | None) -> Plan:
    """The plan for a run that `claim` holds; `spec` is None if it is invalid."""
    pod = pod_of(observed, claim)
    if pod is not None and (pod.over or pod.end is not None):
        return Plan(then=[ending_of_pod(pod, claim, begun=run.begun)])
    if run.begun:
        return _begun(observed, run, claim, pod, spec)
    if run.limits.cancel and not run.may_clean_up:
        return Plan(then=[ReleaseRun(claim, AttemptEnd.RELEASED, "cancelled before it began")])
    if spec is not None and spec.suspend and not run.may_clean_up:
        return Plan(then=[ReleaseRun(claim, AttemptEnd.RELEASED, "suspended before it began")])
    if barred(observed):
        return Plan(then=[ReleaseRun(claim, AttemptEnd.RELEASED, "no attempt begins in the operator's own namespace")])
    if pod is None:
        return give_way(observed, claim, _without_pod(observed, run, claim, spec))
    return give_way(observed, claim, _on_its_way(observed, run, claim, pod))


def _begun(observed: Observed, run: Run, claim: Claim, pod: Pod | None, spec: Spec | None) -> Plan:
    if run.silent is not None and pod is not None and not run.limits.cancel:
        # The silent process may not be this pod's: another one may have begun the attempt. The pod's own process, once
        # it starts, then exits with the code SECOND_START, which shows that.
        if pod.stage is not Stage.STARTED:
            return _on_its_way(observed, run, claim, pod)
        if (left := _time_to_find_out(observed, pod)) > 0:
            message = f"attempt {run.attempt} in pod {pod.name}, which has just started, is silent"
            return going(Reason.STARTING, message, min(left, LOOK_BEGIN))
    if run.silent is not None or (pod is None and observed.pod_gone):
        return Plan(then=[ending_of_silence(observed, run, claim, pod)])
    where = "a pod that is out of sight" if pod is None else f"pod {pod.name}"
    requeue_after = LOOK_GONE if pod is None or pod.deleting else LOOK_RUNNING
    if run.may_clean_up:
        message = f"attempt {run.attempt} in {where} has time to clean up"
        return going(Reason.CANCELLING, message, min(requeue_after, max(run.cleanup_left or 0.0, 1.0)))
    if run.limits.cancel:
        return going(Reason.CANCELLING, f"attempt {run.attempt} in {where} has been asked to end", requeue_after)
    if spec is not None and spec.suspend:
        message = f"attempt {run.attempt} in {where} has been asked to stop after the step in flight"
        return going(Reason.SUSPENDING, message, requeue_after)
    if observed.left_alone is not None:
        message = f"attempt {run.attempt} in {where} is silent, and is left alone: {observed.left_alone}"
        return going(Reason.STORE_SUSPECTED, message, LOOK_CAPACITY)
    message = f"attempt {run.attempt} runs in {where}"
    if pod is not None and pod.deleting:
        message += ", which is being deleted: another attempt will go on from the last finished step"
    return going(Reason.RUNNING, message, requeue_after)


def _time_to_find_out(observed: Observed, pod: Pod) -> float:
    """Seconds that a pod's process may still need after its start to find that its attempt has begun elsewhere."""
    if pod.progressed is None or pod.deleting or pod.disrupted is not None:
        return 0.0
    return BEGIN_TIME - seconds_since(pod.progressed, observed.now)


def _without_pod(observed: Observed, run: Run, claim: Claim, spec: Spec | None) -> Plan:
    if spec is None:
        return invalid_spec(observed)
    if observed.pod_gone and observed.pod_met:
        return Plan(then=[ReleaseRun(claim, AttemptEnd.EVICTED, "its pod was deleted before it began")])
    if any(pod.attempt == run.attempt for pod in observed.pods):
        # A pod of another claim has its name: that claim was lost when the store was restored. Claim the next attempt.
        return Plan(then=[ClaimRun(run.attempt)])
    refused = observed.refused
    changed = observed.refused_generation not in (None, observed.workflow.generation)
    if refused is None or changed or observed.refused_for >= LOOK_REFUSED:
        return Plan(then=[CreatePod(run.attempt, claim, _silent_nodes(observed, run))])
    requeue_after = LOOK_REFUSED - observed.refused_for
    if "NamespaceTerminating" in refused or "is being terminated" in refused:
        message = f"the namespace is being deleted, and takes no pod for attempt {run.attempt}"
        return going(Reason.STARTING, message, requeue_after)
    if "exceeded quota" in refused:
        return going(Reason.AT_CAPACITY, f"the namespace's quota has no room for the pod: {refused}", requeue_after)
    if "already exists" in refused:
        return stalled(
            Reason.POD_REFUSED, f"the pod of attempt {run.attempt} cannot be created: {refused}", requeue_after
        )
    return stalled(Reason.POD_REFUSED, f"the API server refuses the pod; change podTemplate: {refused}", requeue_after)


def _silent_nodes(observed: Observed, run: Run) -> tuple[str, ...]:
    """Nodes that seem to be lost, though the scheduler may count them as ready for most of a minute.

    They are the nodes of earlier attempts whose pods have not ended according to the API server. For the newest ended
    attempt, the kubelet may just be late; its node counts only if the attempt ended because of the node.
    """
    last = run.last
    if last is None:
        return ()
    left = (pod for pod in observed.pods if pod.attempt <= last.attempt and not pod.over and pod.end is None)
    silent = {pod.node for pod in left if pod.attempt < last.attempt or _blames_node(last, pod)}
    return tuple(sorted(node for node in silent if node is not None))


def _blames_node(last: Ended, pod: Pod) -> bool:
    return last.ending == AttemptEnd.NODE_LOST or (last.ending == AttemptEnd.EVICTED and pod.stage is Stage.TAKEN)


def _on_its_way(observed: Observed, run: Run, claim: Claim, pod: Pod) -> Plan:
    if pod.disrupted is not None:
        return Plan(then=[ReleaseRun(claim, disruption(pod.disrupted), pod.disrupted)])
    if pod.deleting:
        return Plan(then=[ReleaseRun(claim, AttemptEnd.EVICTED, "its pod was deleted before it began")])
    reason, words = pod.waiting or ("", "")
    if reason in UNSCHEDULABLE | NO_IMAGE | NO_CONTAINER:
        if pod.generation is not None and pod.generation < observed.workflow.generation and not run.begun:
            # The change of the spec may mend the problem, and the attempt has not begun: try a pod of the new spec.
            return Plan(then=[ClaimRun(run.attempt)])
        return _stuck(pod, reason, words)
    if reason == _INITIALISING:
        message = f"attempt {run.attempt} starts in pod {pod.name}: its init containers run"
        return going(Reason.STARTING, message, LOOK_START)
    return _starting(observed, run, claim, pod, f" ({reason}: {words})" if words else f" ({reason})" if reason else "")


def _starting(observed: Observed, run: Run, claim: Claim, pod: Pod, shown: str) -> Plan:
    """The plan for a pod that is starting without a known problem; `shown` is its reason for waiting, for messages."""
    waited = _waited(observed, run, pod)
    message = f"attempt {run.attempt} starts in pod {pod.name}"

    def patiently(most: float, message: str, requeue_after: float, ending: AttemptEnd, detail: str) -> Plan:
        if waited >= most:
            return Plan(then=[ReleaseRun(claim, ending, detail)])
        return going(Reason.STARTING, message, min(requeue_after, most - waited))

    match pod.stage:
        case Stage.UNBOUND:
            return going(Reason.STARTING, f"{message}, which no scheduler has looked at yet", LOOK_START)
        case Stage.BOUND:
            # There is no heartbeat before the attempt has begun, and the node controller waits for more than five
            # minutes until it deletes the pods of a lost node.
            detail = f"node {pod.node} has said nothing of its pod for {TAKE_UP_DEADLINE:.0f} s"
            return patiently(TAKE_UP_DEADLINE, message, LOOK_START, AttemptEnd.NODE_LOST, detail)
        case Stage.TAKEN:
            # A large image or a sick node: a disruption, since the program itself has not run and not crashed.
            most, message = observed.preparation, f"{message}: node {pod.node} pulls its image or mounts its volumes"
            detail = f"node {pod.node} had not made the container {most:g} s after it took the pod{shown}"
            return patiently(most, message, LOOK_START, AttemptEnd.EVICTED, detail)
        case Stage.STARTED:
            requeue_after = LOOK_BEGIN if pod.phase is PodPhase.RUNNING else LOOK_START
            detail = f"it had not begun {START_DEADLINE:.0f} s after its container had started{shown}"
            return patiently(START_DEADLINE, message, requeue_after, AttemptEnd.NEVER_BEGUN, detail)


def _stuck(pod: Pod, reason: str, words: str) -> Plan:
    said = f"{reason}: {words}" if words else reason
    if reason in UNSCHEDULABLE:
        message = f"no node takes pod {pod.name}: {words or reason}"
        return going(Reason.UNSCHEDULABLE, message, LOOK_CAPACITY)
    if reason in NO_IMAGE:
        message = f"an image of pod {pod.name} cannot be pulled; it starts as soon as that works: {said}"
        return stalled(Reason.IMAGE_PULL_FAILED, message, LOOK_STALLED)
    message = f"a container of pod {pod.name} cannot be made; it starts as soon as that works: {said}"
    return stalled(Reason.POD_REFUSED, message, LOOK_STALLED)


def _waited(observed: Observed, run: Run, pod: Pod) -> float:
    """Seconds since the pod last came nearer to its start."""
    if pod.progressed is None:
        return run.claimed_for
    return min(run.claimed_for, seconds_since(pod.progressed, observed.now))


def invalid_spec(observed: Observed) -> Plan:
    """The plan for a spec that the schema should have rejected: a person must create the Workflow again."""
    problem = observed.workflow.problem or "it cannot be read"
    message = f"the spec cannot be taken: {problem}; delete the Workflow and create it anew with a spec that fits"
    return stalled(Reason.INVALID_SPEC, message, LOOK_STALLED * 10)
