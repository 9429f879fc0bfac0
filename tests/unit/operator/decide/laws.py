"""What holds of every answer of `decide`, whatever was observed. Each law gets what was seen and what was answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perdure_operator.decide.actions import (
    ClaimRun,
    CreatePod,
    DeletePod,
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
from perdure_operator.decide.observed import Observed
from perdure_operator.decide.plan import Kind, Reason
from tests.unit.operator.decide.kstatus import kstatus
from tests.unit.operator.decide.model_store import CRASHES, DISRUPTIONS, ELSEWHERE, UNREACHABLE

__all__ = ["LAWS"]


def one_status_at_most_and_events_only_with_it(seen: Observed, actions: list[Any]) -> None:
    kinds = [type(action) for action in actions]
    assert kinds.count(WriteStatus) <= 1
    assert kinds.count(RequeueAfter) <= 1
    if PostEvent in kinds:
        assert kinds.index(WriteStatus) < kinds.index(PostEvent)
    for action in actions:
        if isinstance(action, RequeueAfter):
            assert action.after > 0


def every_answer_does_something_or_tells_what_it_waits_for(seen: Observed, actions: list[Any]) -> None:
    waits = all(
        isinstance(action, (WriteStatus, PostEvent, NoteImage, RequeueAfter, DeletePod, SetLimits))
        for action in actions
    )
    status = next((action.status for action in actions if isinstance(action, WriteStatus)), seen.workflow.status)
    told = status.conditions.get("Finished")
    if waits and not seen.workflow.deleting:
        assert told is not None
        assert told.status == "True" or any(isinstance(action, RequeueAfter) for action in actions)
        assert kstatus(replace(seen.workflow, status=status)) in {"InProgress", "Failed", "Current"}


def nothing_starts_that_must_not(seen: Observed, actions: list[Any]) -> None:
    workflow = seen.workflow
    starts = [action for action in actions if isinstance(action, (InsertRun, ClaimRun, CreatePod))]
    if not starts:
        return
    assert not finished(seen)
    assert not workflow.deleting
    assert not seen.policy.bars(workflow.key)
    assert seen.run is not None or seen.other_owner is None
    assert workflow.spec is not None
    assert workflow.problem is None
    assert not workflow.spec.cancel or (seen.run is not None and seen.run.may_clean_up)
    asked = workflow.restart is not None and workflow.restart != workflow.status.restart
    if not asked:
        assert workflow.status.store_id in (None, seen.store_id)
        assert seen.run is not None or (workflow.status.store_id is None and not seen.pods)
        assert seen.run is None or seen.run.attempt >= workflow.status.attempts
    bound = workflow.status.store_id == seen.store_id and workflow.status.start_time is not None
    kinds = [type(action) for action in actions]
    if (ClaimRun in kinds or CreatePod in kinds) and not bound:
        assert kinds.index(WriteStatus) == kinds.index(next(k for k in kinds if k in (ClaimRun, CreatePod))) - 1


def nobody_is_claimed_from_whose_process_has_begun(seen: Observed, actions: list[Any]) -> None:
    """Two attempts would work on a run, until the fence stops the older one."""
    claims = [action for action in actions if isinstance(action, ClaimRun)]
    assert len(claims) <= 1
    for claim in claims:
        run = seen.run
        assert claim.observed_attempt == (0 if run is None else run.attempt)
        assert run is None or run.claim is None or not run.begun
        assert not any(isinstance(action, CreatePod) for action in actions)


def one_pod_at_most_is_made_and_only_for_the_claim_that_has_none(seen: Observed, actions: list[Any]) -> None:
    made = [action for action in actions if isinstance(action, CreatePod)]
    assert len(made) <= 1
    for action in made:
        assert seen.run is not None
        assert (action.claim, action.attempt) == (seen.run.claim, seen.run.attempt)
        assert not seen.run.begun
        assert all(pod.claim != action.claim for pod in seen.pods)


def an_attempt_that_has_begun_is_ended_only_on_evidence(seen: Observed, actions: list[Any]) -> None:
    run = seen.run
    if run is None or not run.begun or not any(isinstance(action, ReleaseRun) for action in actions):
        return
    pod = next((pod for pod in seen.pods if pod.claim == run.claim), None)
    if pod is None:
        assert run.silent is not None or seen.pod_gone
    else:
        assert run.silent is not None or pod.over or pod.end is not None


def the_reason_is_a_known_one_and_goes_with_its_conditions(seen: Observed, actions: list[Any]) -> None:
    for action in actions:
        if isinstance(action, WriteStatus) and not finished(seen):
            conditions = action.status.conditions
            reason = Reason(conditions["Finished"].reason)
            states = {name: condition.status for name, condition in conditions.items()}
            assert states == TABLE[KINDS[reason]], (reason, states)


def only_the_claim_that_holds_the_run_is_released(seen: Observed, actions: list[Any]) -> None:
    for action in actions:
        if isinstance(action, ReleaseRun):
            assert seen.run is not None
            assert action.claim == seen.run.claim
            assert action.ending in {*CRASHES, *DISRUPTIONS, UNREACHABLE, ELSEWHERE}


def no_pod_of_the_claim_that_holds_the_run_is_deleted_but_to_cancel_it(seen: Observed, actions: list[Any]) -> None:
    for action in actions:
        run = seen.run
        if isinstance(action, DeletePod) and run is not None and action.pod.claim == run.claim is not None:
            assert run.limits.cancel or run.state.ended or finished(seen)


def a_cleanup_has_its_time(seen: Observed, actions: list[Any]) -> None:
    """Only who deletes the Workflow, or gives up its run, takes it away."""
    run = seen.run
    if run is None or run.state.ended or not (run.may_clean_up and run.cleans_up):
        return
    if finished(seen) or seen.workflow.deleting or seen.workflow.spec is None:
        return
    for action in actions:
        assert not isinstance(action, EndRun)
        assert not isinstance(action, DeletePod) or action.pod.claim != run.claim
        assert not isinstance(action, RequestCancel) or (run.claim is None and action.at_once)


def a_status_stays_small(seen: Observed, actions: list[Any]) -> None:
    if finished(seen):
        return
    for action in actions:
        if isinstance(action, WriteStatus):
            status = action.status
            assert all(len(condition.message.encode()) <= 1024 for condition in status.conditions.values())
            assert set(status.conditions) <= {"Finished", "Succeeded", "Reconciling", "Stalled"}


def finished(seen: Observed) -> bool:
    condition = seen.workflow.status.conditions.get("Finished")
    return condition is not None and condition.status == "True"


GOING = frozenset(
    {Reason.PENDING, Reason.AT_CAPACITY, Reason.STARTING, Reason.UNSCHEDULABLE, Reason.RUNNING, Reason.BACKING_OFF}
    | {Reason.SUSPENDING, Reason.CANCELLING, Reason.STORE_SUSPECTED}
)
RESTING = frozenset({Reason.SUSPENDED, Reason.WAITING})
STALLED = frozenset(
    {Reason.INVALID_SPEC, Reason.SOURCE_MISSING, Reason.CHECKPOINTS_MISSING, Reason.IMAGE_PULL_FAILED}
    | {Reason.POD_REFUSED, Reason.STORE_UNREACHABLE, Reason.BEGUN_ELSEWHERE, Reason.NAMESPACE_REFUSED}
)
FAILED = frozenset(Reason) - GOING - RESTING - STALLED - {Reason.SUCCEEDED}

TABLE = {
    Kind.GOING: {"Finished": "False", "Succeeded": "Unknown", "Reconciling": "True"},
    Kind.RESTING: {"Finished": "False", "Succeeded": "Unknown"},
    Kind.STALLED: {"Finished": "False", "Succeeded": "Unknown", "Stalled": "True"},
    Kind.SUCCEEDED: {"Finished": "True", "Succeeded": "True"},
    Kind.FAILED: {"Finished": "True", "Succeeded": "False", "Stalled": "True"},
}
KINDS = {
    **dict.fromkeys(GOING, Kind.GOING),
    **dict.fromkeys(RESTING, Kind.RESTING),
    **dict.fromkeys(STALLED, Kind.STALLED),
    **dict.fromkeys(FAILED, Kind.FAILED),
    Reason.SUCCEEDED: Kind.SUCCEEDED,
}
"""The design's table of conditions, once more: what is told of each reason."""

LAWS = (
    one_status_at_most_and_events_only_with_it,
    every_answer_does_something_or_tells_what_it_waits_for,
    nothing_starts_that_must_not,
    nobody_is_claimed_from_whose_process_has_begun,
    one_pod_at_most_is_made_and_only_for_the_claim_that_has_none,
    an_attempt_that_has_begun_is_ended_only_on_evidence,
    the_reason_is_a_known_one_and_goes_with_its_conditions,
    only_the_claim_that_holds_the_run_is_released,
    no_pod_of_the_claim_that_holds_the_run_is_deleted_but_to_cancel_it,
    a_cleanup_has_its_time,
    a_status_stays_small,
)
