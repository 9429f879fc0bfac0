"""What people and limits ask: suspend, cancel, deadline, backoff limit, time to live, deletion."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from perdure.store.runs.model import RunState
from perdure_operator.decide.actions import (
    ClaimRun,
    CreatePod,
    DeletePod,
    DeleteWorkflow,
    EndRun,
    ReleaseRun,
    RequestCancel,
    RequeueAfter,
    SetLimits,
)
from perdure_operator.decide.observed import Limits, PodPhase, Status
from perdure_operator.decide.timeouts import DEADLINE_OVERTIME
from tests.unit.operator.decide.builders import (
    LIMITS,
    NOW,
    OTHER_STORE,
    UID,
    ago,
    begun,
    claimed,
    decide,
    deeds,
    ended_attempt,
    message,
    new_status,
    observed,
    pod,
    reason,
    requeue_after,
    run,
    spec,
    started,
    token,
    told,
    workflow,
)


def given(**changes):
    return workflow(spec=spec(**changes), status=started())


CANCELLED = replace(LIMITS, cancel=True)
SUSPENDED = replace(LIMITS, suspend=True)


# Limits.


def test_what_the_spec_says_goes_to_the_store():
    changed = given(backoff_limit=2, active_deadline_seconds=60, suspend=True)
    seen = observed(begun(), [pod()], workflow=changed)
    assert deeds(seen) == [SetLimits(Limits(2, 60.0, suspend=True, cancel=False))]
    assert requeue_after(seen) <= 1.0
    assert deeds(replace(seen, run=begun(limits=Limits(2, 60.0, suspend=True, cancel=False)))) == []


def test_a_cancellation_is_never_taken_back():
    seen = observed(begun(limits=replace(CANCELLED, backoff_limit=1)), [pod()], workflow=given())
    assert deeds(seen) == [SetLimits(CANCELLED)]


def test_an_ended_run_has_no_limits():
    assert deeds(observed(run(RunState.SUCCEEDED, 1, finished=NOW), workflow=given(backoff_limit=1))) == []


def test_a_lowered_backoff_limit_ends_a_run_that_has_used_it_up():
    seen = observed(run(attempt=3, crashes=3, limits=replace(LIMITS, backoff_limit=2)), workflow=given(backoff_limit=2))
    [end] = deeds(seen)
    assert isinstance(end, EndRun)
    assert end.error_type.endswith(":BackoffLimitExceeded")
    held = observed(begun(4, crashes=3, limits=replace(LIMITS, backoff_limit=2)), [pod(4)], workflow=seen.workflow)
    assert deeds(held) == []


def test_too_many_disruptions_end_a_run():
    assert deeds(observed(run(attempt=20, disruptions=20))) == [ClaimRun(20)]
    [end] = deeds(observed(run(attempt=21, disruptions=21)))
    assert end.error_type.endswith(":DisruptionLimitExceeded")


# Suspend and resume.


def test_a_running_attempt_is_asked_to_stop_and_waited_for():
    seen = observed(begun(limits=SUSPENDED), [pod()], workflow=given(suspend=True))
    assert (deeds(seen), reason(seen)) == ([], "Suspending")
    assert new_status(seen).phase == "Running"


def test_a_suspended_run_rests_until_it_is_resumed():
    seen = observed(run(attempt=1, limits=SUSPENDED), workflow=given(suspend=True))
    assert (deeds(seen), reason(seen)) == ([], "Suspended")
    assert "suspend" in message(seen)
    assert requeue_after(seen) is not None
    resumed = replace(told(seen), workflow=replace(told(seen).workflow, spec=spec(), generation=2))
    assert deeds(resumed) == [SetLimits(LIMITS), ClaimRun(1)]


# Cancel.


@pytest.mark.parametrize("stored", [run(), run(attempt=1, delay=300.0, due_in=300.0), claimed(), begun()])
def test_a_cancellation_is_asked_for(stored):
    assert deeds(observed(stored, workflow=given(cancel=True))) == [RequestCancel()]


def test_a_run_that_is_to_end_is_claimed_by_nobody_whatever_its_spec_says_now():
    assert deeds(observed(run(limits=CANCELLED))) == [RequestCancel()]


def test_a_claim_without_a_begin_is_released_when_its_run_is_cancelled():
    for pods in ([], [pod(phase=PodPhase.PENDING)]):
        [action] = deeds(observed(claimed(limits=CANCELLED), pods, workflow=given(cancel=True)))
        assert isinstance(action, ReleaseRun)
        assert action.claim == token(1)


def test_a_process_has_its_pods_grace_to_heed_a_cancellation():
    cancelling = given(cancel=True, grace_seconds=20.0)
    seen = observed(begun(limits=CANCELLED), [pod()], workflow=cancelling)
    assert (deeds(seen), reason(seen)) == ([], "Cancelling")
    assert new_status(seen).cancel_time == NOW
    assert requeue_after(seen) == 20
    later = replace(told(seen), now=NOW.replace(minute=2))
    assert deeds(later) == [DeletePod(pod(), grace=1)]
    assert deeds(replace(later, pods=[pod(deleting=True)])) == []


def test_a_template_without_a_grace_has_the_usual_one():
    seen = observed(begun(limits=CANCELLED), [pod()], workflow=given(cancel=True))
    assert requeue_after(seen) == 30


@pytest.mark.parametrize("ended", [pod(), None])
def test_a_silent_process_of_a_cancelled_run_is_released(ended):
    stored = begun(limits=CANCELLED, silent="its heartbeat rests")
    assert isinstance(deeds(observed(stored, [ended] if ended else [], workflow=given(cancel=True)))[0], ReleaseRun)


# Deletion.


@pytest.mark.parametrize("stored", [run(), claimed(), begun()])
def test_deletion_cancels_the_run(stored):
    seen = observed(stored, workflow=workflow(deleting=True, status=started()))
    assert deeds(seen) == [RequestCancel()]


def test_deletion_starts_nothing_and_leaves_the_pods_to_their_owner():
    going = workflow(deleting=True, status=started())
    assert isinstance(deeds(observed(claimed(limits=CANCELLED), workflow=going))[0], ReleaseRun)
    assert deeds(observed(begun(limits=CANCELLED), [pod()], workflow=going)) == []
    assert deeds(observed(run(RunState.CANCELLED, 1, finished=NOW), workflow=going)) == []


# Deadline.


def test_a_run_that_nobody_holds_ends_at_its_deadline():
    limits = replace(LIMITS, deadline_seconds=60.0)
    there = given(active_deadline_seconds=60)
    waiting = run(attempt=1, limits=limits, deadline_in=2.0, delay=100.0, due_in=90.0)
    assert requeue_after(observed(waiting, workflow=there)) == 2.0
    [end] = deeds(observed(replace(waiting, deadline_in=-0.1), workflow=there))
    assert end.error_type == "perdure.errors:DeadlineExceeded"
    assert "60 s" in end.message


def test_a_suspended_run_ends_at_its_deadline_too():
    limits = Limits(6, 60.0, suspend=True, cancel=False)
    seen = observed(
        run(attempt=1, limits=limits, deadline_in=-1.0),
        workflow=given(active_deadline_seconds=60, suspend=True),
    )
    assert isinstance(deeds(seen)[0], EndRun)


def test_a_process_has_some_overtime_to_end_its_run_itself():
    limits = replace(LIMITS, deadline_seconds=60.0)
    there = given(active_deadline_seconds=60)
    seen = observed(begun(limits=limits, deadline_in=-10.0), [pod()], workflow=there)
    assert deeds(seen) == []
    assert requeue_after(seen) == 30.0
    assert isinstance(deeds(replace(seen, run=begun(limits=limits, deadline_in=-31.0)))[0], EndRun)


def test_a_deadline_that_was_put_off_ends_nothing():
    there = given(active_deadline_seconds=600)
    late = run(attempt=1, limits=replace(LIMITS, deadline_seconds=60.0), deadline_in=-5.0)
    assert deeds(observed(late, workflow=there)) == [
        SetLimits(replace(LIMITS, deadline_seconds=600.0)),
        ClaimRun(1),
    ]


# Time to live.


def finished(seconds_ago: float, **changes):
    seen = told(observed(run(RunState.SUCCEEDED, 1, finished=ago(seconds_ago)), workflow=given(**changes)))
    assert seen.workflow.status.phase == "Succeeded"
    return seen


def test_a_workflow_goes_when_its_time_to_live_is_over():
    assert decide(finished(99.0, ttl_seconds_after_finished=100)) == [RequeueAfter(1.0)]
    assert decide(finished(100.0, ttl_seconds_after_finished=100)) == [DeleteWorkflow(UID)]
    assert decide(finished(0.0, ttl_seconds_after_finished=0)) == [DeleteWorkflow(UID)]


def test_without_a_time_to_live_a_workflow_stays_and_costs_nothing():
    assert decide(finished(1e7)) == []


def test_an_end_is_told_before_its_time_to_live_counts():
    seen = observed(run(RunState.SUCCEEDED, 1, finished=ago(500)), workflow=given(ttl_seconds_after_finished=0))
    assert deeds(seen) == []
    assert requeue_after(seen) is not None


def test_a_workflow_that_goes_is_not_deleted_again():
    gone = finished(500.0, ttl_seconds_after_finished=0)
    assert deeds(replace(gone, workflow=replace(gone.workflow, deleting=True))) == []


def test_crash_story_of_a_limit_names_the_last_crash():
    seen = observed(
        run(attempt=3, crashes=3, limits=replace(LIMITS, backoff_limit=0), last=ended_attempt(3)),
        workflow=given(backoff_limit=0),
    )
    assert "SIGKILL" in deeds(seen)[0].message


# Cleanup after a cancellation.

CLEANING: dict[str, Any] = {"limits": CANCELLED, "cleanup_left": 60.0}


def test_a_cancelled_run_that_may_clean_up_is_claimed_for_that():
    assert deeds(observed(run(attempt=1, **CLEANING), workflow=given(cancel=True))) == [ClaimRun(1)]
    assert deeds(observed(run(attempt=1, **CLEANING), workflow=given(cancel=True, suspend=True)))[-1] == ClaimRun(1)
    over = {**CLEANING, "cleanup_left": -0.1}
    assert deeds(observed(run(attempt=1, **over), workflow=given(cancel=True))) == [RequestCancel()]


def test_its_attempt_gets_a_pod_and_is_not_released():
    [made] = deeds(observed(claimed(2, **CLEANING), workflow=given(cancel=True)))
    assert isinstance(made, CreatePod)
    assert deeds(observed(claimed(2, **CLEANING), [pod(2)], workflow=given(cancel=True))) == []


def test_its_pod_lives_until_the_cleanup_is_over():
    status = replace(started(), cancel_time=ago(500))
    asked = replace(given(cancel=True), status=status)
    cleaning = observed(begun(2, cleans_up=True, claimed_for=400.0, **CLEANING), [pod(2)], workflow=asked)
    assert deeds(cleaning) == []
    assert reason(cleaning) == "Cancelling"
    over = {**CLEANING, "cleanup_left": -DEADLINE_OVERTIME}
    stuck = observed(begun(2, cleans_up=True, **over), [pod(2)], workflow=asked)
    assert any(isinstance(action, DeletePod) for action in decide(stuck))


def test_a_process_that_has_yet_to_tell_its_workflow_has_the_pods_grace_for_it():
    workflow = replace(given(cancel=True), status=replace(started(), cancel_time=ago(40)))
    first = observed(begun(1, claimed_for=100.0, **CLEANING), [pod(1)], workflow=workflow)
    assert any(isinstance(action, DeletePod) for action in decide(first))
    made_for_it = observed(begun(2, claimed_for=35.0, **CLEANING), [pod(2)], workflow=workflow)
    assert not any(isinstance(action, DeletePod) for action in decide(made_for_it))


@pytest.mark.parametrize(
    "status", [started(store_id=OTHER_STORE), started(attempts=3), started(attempts=1, steps_completed=9)]
)
def test_no_cleanup_starts_in_a_store_that_may_lack_what_was_done(status: Status):
    asked = replace(given(cancel=True), status=status)
    older = observed(run(attempt=1, **CLEANING), workflow=asked)
    assert not any(isinstance(action, (ClaimRun, CreatePod, RequestCancel)) for action in decide(older))
    assert reason(older) == "CheckpointsMissing"
    assert ClaimRun(1) in decide(replace(older, workflow=replace(asked, restart="go on")))
    assert deeds(replace(older, workflow=replace(asked, deleting=True))) == [RequestCancel(at_once=True)]
    # One that has yet to be asked is: its process may be alive.
    not_yet = observed(run(attempt=1, cleanup_left=60.0), workflow=asked)
    assert RequestCancel() in decide(not_yet)


@pytest.mark.parametrize("stored", [run(attempt=1, **CLEANING), begun(**CLEANING), claimed(**CLEANING)])
def test_a_deleted_workflow_cleans_nothing_up(stored):
    seen = observed(stored, workflow=replace(given(cancel=True), deleting=True))
    assert deeds(seen) == [RequestCancel(at_once=True)]


def test_a_deadline_does_not_end_a_cleanup():
    limits = Limits(6, 60.0, suspend=False, cancel=True)
    late: dict[str, Any] = {"limits": limits, "cleanup_left": 30.0, "deadline_in": -100.0}
    workflow = given(cancel=True, active_deadline_seconds=60)
    assert isinstance(deeds(observed(begun(**late), [pod()], workflow=workflow))[0], EndRun), "it has yet to begin"
    assert deeds(observed(begun(cleans_up=True, **late), [pod()], workflow=workflow)) == []


def test_a_lowered_limit_ends_a_cleanup_cancelled():
    seen = observed(run(attempt=3, crashes=9, **CLEANING), workflow=given(cancel=True))
    assert deeds(seen) == [RequestCancel(at_once=True)]


def test_what_the_cleanup_raised_is_told():
    error = '{"type": "shop:OutOfTape", "message": "no tape"}'
    seen = observed(run(RunState.CANCELLED, 2, error=error), workflow=given(cancel=True))
    assert "OutOfTape: no tape" in message(seen)
    assert reason(seen) == "Cancelled"
