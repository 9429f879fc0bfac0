"""Nothing starts from a store that is not the one on which the status rests, until a person says so; and then once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure.store.runs.model import RunState
from perdure_operator.decide.actions import ClaimRun, CreatePod, InsertRun, ReleaseRun, RequestCancel, WriteStatus
from perdure_operator.decide.observed import Status
from tests.unit.operator.decide.builders import (
    LIMITS,
    NOW,
    OTHER_STORE,
    STORE,
    ago,
    begun,
    claimed,
    decide,
    deeds,
    ended_attempt,
    message,
    new_status,
    observed,
    over,
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

NO_DOUBT = observed(
    run(attempt=3, steps=2, last=ended_attempt(3, "begun elsewhere"), delay=1.0, due_in=1.0),
    workflow=workflow(status=started(attempts=3, steps_completed=3)),
)
DOUBTS = {
    "the run is missing from its store": observed(),
    "another store, without the run": observed(store_id=OTHER_STORE),
    "another store, with the run": observed(run(attempt=1), store_id=OTHER_STORE),
    "fewer attempts than there were": observed(run(attempt=3), workflow=workflow(status=started(attempts=4))),
    "fewer attempts, one of them held": observed(begun(3), workflow=workflow(status=started(attempts=4))),
    "fewer checkpoints than there were": observed(
        run(attempt=3, steps=2), workflow=workflow(status=started(attempts=3, steps_completed=3))
    ),
    "a pod of an attempt that the store does not know": observed(run(attempt=1), [pod(2)]),
    "pods, but neither a run nor a status": observed(None, [pod()], workflow=workflow()),
    "an end that was recorded, but is not there": observed(begun(), [over(code=0)]),
    "a cancellation that was recorded, but is not there": observed(begun(), [over(code=78)]),
}


def test_steps_that_were_a_thiefs_are_not_missed():
    assert reason(NO_DOUBT) == "BegunElsewhere"
    assert new_status(NO_DOUBT).steps_completed == 2


@pytest.mark.parametrize("seen", DOUBTS.values(), ids=DOUBTS)
def test_a_store_that_misses_something_starts_nothing(seen):
    assert deeds(seen) == []
    assert reason(seen) == "CheckpointsMissing"
    assert "perdure.io/restart" in message(seen)
    assert requeue_after(seen) is not None
    again = told(seen)
    assert deeds(again) == []
    assert new_status(again) is None


@pytest.mark.parametrize("seen", DOUBTS.values(), ids=DOUBTS)
def test_a_doubt_leaves_what_the_status_remembers(seen):
    old, new = seen.workflow.status, new_status(seen)
    assert new.store_id == old.store_id
    assert (new.attempts, new.steps_completed) == (old.attempts, old.steps_completed)


def test_the_right_database_is_enough_to_go_on():
    stalled = told(observed(store_id=OTHER_STORE))
    assert deeds(replace(stalled, store_id=STORE, run=run(attempt=1))) == [ClaimRun(1)]


@pytest.mark.parametrize("seen", DOUBTS.values(), ids=DOUBTS)
def test_a_restart_goes_on_with_what_the_store_has(seen):
    asked = replace(seen, workflow=replace(seen.workflow, restart="yes"))
    actions = decide(asked)
    kinds = [type(action) for action in actions]
    if seen.run is None:
        assert kinds == [InsertRun, WriteStatus, ClaimRun]
    elif seen.run.claim is None:
        assert kinds == [WriteStatus, ClaimRun]
    if WriteStatus in kinds and ClaimRun in kinds:
        status = next(action for action in actions if isinstance(action, WriteStatus)).status
        assert status.restart == "yes"
        assert status.store_id == asked.store_id
        assert status.start_time == NOW
        assert status.attempts == (0 if seen.run is None else seen.run.attempt)
        assert status.steps_completed == (0 if seen.run is None else seen.run.steps)


def test_a_restart_after_a_lost_end_ends_the_attempt():
    seen = observed(begun(), [over(code=0)], workflow=workflow(status=started(), restart="yes"))
    [action] = decide(seen)
    assert isinstance(action, ReleaseRun)
    assert (action.claim, action.ending) == (token(1), "lost")


def test_a_value_of_the_annotation_counts_once():
    restart_noted = observed(workflow=workflow(status=started(restart="yes"), restart="yes"))
    assert (deeds(restart_noted), reason(restart_noted)) == ([], "CheckpointsMissing")
    assert deeds(replace(restart_noted, workflow=replace(restart_noted.workflow, restart="again")))[0] == InsertRun()


def test_an_annotation_on_a_workflow_in_order_is_used_up_and_restarts_nothing_later():
    seen = told(observed(begun(), [pod()], workflow=workflow(status=started(), restart="yes")))
    assert seen.workflow.status.restart == "yes"
    assert deeds(replace(seen, run=None, pods=[])) == []


def test_an_annotation_that_came_with_the_manifest_is_used_up_by_the_start():
    [_, written, _] = decide(observed(workflow=workflow(restart="yes")))
    assert written.status.restart == "yes"


def test_an_annotation_that_was_taken_away_may_come_again():
    seen = told(observed(workflow=workflow(status=started(restart="yes"))))
    assert seen.workflow.status.restart is None
    assert deeds(replace(seen, workflow=replace(seen.workflow, restart="yes")))[0] == InsertRun()


def test_a_restart_is_not_used_up_while_the_source_is_missing():
    given = workflow(spec=spec(source_config_map="code"), status=started(), restart="yes")
    seen = told(observed(workflow=given, source_problem="there is none"))
    assert seen.workflow.status.conditions["Stalled"].reason == "SourceMissing"
    assert seen.workflow.status.restart is None
    assert deeds(replace(seen, source={}, source_problem=None))[0] == InsertRun()


@pytest.mark.parametrize("stored", [None, run(), claimed(), begun()])
def test_a_restart_that_was_broken_off_after_the_insert_goes_on(stored):
    seen = observed(stored, workflow=workflow(status=started(attempts=5), restart="yes"))
    first = decide(seen)
    if stored is None or stored.claim is None:
        assert isinstance(first[-1], ClaimRun)
    elif not stored.begun:
        assert [type(action) for action in first] == [WriteStatus, CreatePod]


def test_pods_from_before_a_restart_are_no_doubt():
    status = started(restart="yes", start_time=ago(10))
    seen = observed(run(), [over(5, created=ago(500))], workflow=workflow(status=status, restart="yes"))
    assert deeds(seen) == [ClaimRun(0)]


def test_the_pod_of_another_claim_does_not_stand_in_for_an_attempts_own():
    seen = observed(claimed(5), [over(5, claim=token(5, other=1), created=ago(500))])
    assert deeds(seen) == [ClaimRun(5)]


@pytest.mark.parametrize("finished", ["Succeeded", "Failed", "Cancelled"])
@pytest.mark.parametrize("restart", [None, "yes"])
@pytest.mark.parametrize("store", [STORE, OTHER_STORE])
@pytest.mark.parametrize("stored", [None, run(), run(attempt=3), claimed(), begun()])
def test_what_has_finished_never_starts_again(finished, restart, store, stored):
    state = RunState(finished.lower())
    done = told(observed(run(state, 1, finished=ago(1), error='{"type": "a:B", "message": "c"}')))
    assert done.workflow.status.phase == finished
    seen = replace(done, run=stored, store_id=store, workflow=replace(done.workflow, restart=restart))
    assert not any(isinstance(one, (InsertRun, ClaimRun, CreatePod)) for one in decide(seen))
    assert told(seen).workflow.status.phase == finished


def test_a_run_that_is_open_again_though_its_workflow_has_finished_is_cancelled():
    done = told(observed(run(RunState.SUCCEEDED, 1, finished=ago(1))))
    assert deeds(replace(done, run=run(attempt=1))) == [RequestCancel()]
    held = replace(done, run=begun(limits=replace(LIMITS, cancel=True), silent="its heartbeat rests"))
    [action] = decide(held)
    assert (action.claim, action.ending) == (token(1), "released")


def test_a_workflow_that_waits_for_its_checkpoints_can_be_cancelled():
    seen = observed(workflow=workflow(spec=spec(cancel=True), status=started()))
    assert (deeds(seen), reason(seen)) == ([], "Cancelled")


def test_a_workflow_that_waits_for_its_checkpoints_can_be_deleted():
    assert decide(observed(workflow=workflow(deleting=True, status=started()))) == []


def test_a_run_that_is_behind_is_cancelled_with_its_workflow():
    seen = observed(run(attempt=1), workflow=workflow(deleting=True, status=started(attempts=2)))
    assert deeds(seen) == [RequestCancel()]


def test_pods_are_left_alone_while_the_store_is_in_doubt():
    pods = [pod(1, created=ago(900)), pod(2, created=ago(800)), *(over(n) for n in range(3, 9))]
    assert deeds(observed(None, pods)) == []


def test_the_run_of_another_operator_is_left_alone_and_no_restart_changes_that():
    for status in (Status(), started()):
        given = workflow(status=status, restart="again")
        seen = observed(workflow=given, other_owner="cluster:one/blue")
        assert deeds(seen) == []
        assert reason(seen) == "CheckpointsMissing"
        assert "the run of another operator, cluster:one/blue" in message(seen)
        assert new_status(seen).restart is None
        assert requeue_after(seen) is not None
        assert deeds(replace(seen, workflow=replace(given, deleting=True))) == []
    cancelled = workflow(spec=spec(cancel=True))
    assert reason(observed(workflow=cancelled, other_owner="cluster:one/blue")) == "Cancelled"
