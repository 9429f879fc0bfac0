"""The order of a start, and what a run that nobody holds waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure.store.runs.model import RunState
from perdure_operator.decide.actions import ClaimRun, CreatePod, InsertRun, RequestCancel, RequeueAfter, WriteStatus
from tests.unit.operator.decide.builders import (
    LIMITS,
    NOW,
    STORE,
    claimed,
    decide,
    deeds,
    ended_attempt,
    message,
    new_status,
    observed,
    reason,
    requeue_after,
    run,
    spec,
    started,
    story,
    token,
    told,
    workflow,
)


def test_the_run_is_there_before_the_status_names_its_store_and_that_is_written_before_the_claim():
    actions = decide(observed(workflow=workflow()))
    assert [type(action) for action in actions] == [InsertRun, WriteStatus, ClaimRun]
    assert actions[1].status.store_id == STORE
    assert actions[1].status.start_time == NOW
    assert actions[2] == ClaimRun(0)
    assert not actions[1].soon


def test_a_start_that_was_broken_off_after_the_insert_goes_on_with_the_status():
    actions = decide(observed(run(), workflow=workflow()))
    assert [type(action) for action in actions] == [WriteStatus, ClaimRun]


def test_a_start_that_was_broken_off_after_the_status_goes_on_with_the_claim():
    assert decide(observed(run())) == [ClaimRun(0)]


def test_a_start_that_was_broken_off_after_the_claim_goes_on_with_that_attempts_pod():
    assert decide(observed(claimed(3))) == [CreatePod(3, token(3))]


def test_a_claimed_run_whose_status_was_wiped_names_its_store_before_its_pod():
    actions = decide(observed(claimed(3), workflow=workflow()))
    assert [type(action) for action in actions] == [WriteStatus, CreatePod]
    assert actions[0].status.attempts == 3


def test_the_next_attempt_starts_without_a_status_in_between():
    assert decide(observed(run(attempt=1, crashes=1, last=ended_attempt()))) == [ClaimRun(1)]


def test_a_crash_delay_is_waited_out():
    seen = observed(run(attempt=3, delay=4.0, due_in=2.5, crashes=4, last=ended_attempt(3)))
    assert deeds(seen) == []
    assert reason(seen) == "BackingOff"
    assert requeue_after(seen) == 2.5
    assert "4 s" in message(seen)
    assert "killed by SIGKILL" in message(seen)


def test_a_clock_that_jumped_does_not_prolong_a_delay():
    assert requeue_after(observed(run(attempt=3, delay=4.0, due_in=5000.0))) == 4.0


def test_waiting_out_a_delay_is_told_once():
    seen = observed(run(attempt=3, delay=4.0, due_in=2.5, last=ended_attempt(3)))
    assert decide(replace(told(seen), run=replace(seen.run, due_in=1.0))) == [RequeueAfter(1.0)]


def test_a_run_waits_for_capacity_and_says_so():
    seen = observed(run(), capacity="50 of 50 runs are active in this namespace")
    assert deeds(seen) == []
    assert reason(seen) == "AtCapacity"
    assert "50 of 50" in message(seen)
    assert requeue_after(seen) is not None


def test_a_run_waits_for_its_turn_while_the_way_to_the_store_is_suspected():
    seen = observed(run(attempt=1, last=ended_attempt(1)), left_alone="9 of 10 attempts fell silent at once")
    assert deeds(seen) == []
    assert reason(seen) == "StoreSuspected"
    assert new_status(seen).phase == "Pending"
    assert "attempt 2 waits for its turn: 9 of 10 attempts" in message(seen)
    assert "StoreSuspected" in story(seen)
    assert requeue_after(seen) is not None
    assert deeds(observed(claimed(), left_alone="9 of 10")) == [CreatePod(1, token(1))]


def test_a_new_run_at_capacity_is_inserted_with_its_source_all_the_same():
    seen = observed(workflow=workflow(), capacity="full")
    assert deeds(seen) == [InsertRun()]
    assert new_status(seen).store_id == STORE


def test_capacity_holds_up_no_run_that_is_claimed():
    assert deeds(observed(claimed(), capacity="full")) == [CreatePod(1, token(1))]


def test_a_suspended_workflow_starts_nothing():
    suspended = workflow(spec=spec(suspend=True))
    first = observed(workflow=suspended)
    assert deeds(first) == [InsertRun()]
    assert reason(first) == "Suspended"
    seen = told(replace(first, run=run(limits=replace(LIMITS, suspend=True))))
    assert [type(action) for action in decide(seen)] == [RequeueAfter]


def test_source_in_a_missing_config_map_is_waited_for():
    given = workflow(spec=spec(source_config_map="bank-code"))
    seen = observed(workflow=given, source_problem="there is no ConfigMap bank-code")
    assert deeds(seen) == []
    assert reason(seen) == "SourceMissing"
    assert "bank-code" in message(seen)
    assert requeue_after(seen) is not None
    assert new_status(seen).store_id is None
    unread = observed(workflow=given)
    assert (deeds(unread), reason(unread)) == ([], "Pending")
    assert requeue_after(unread) is not None
    there = observed(workflow=given, source={"bank.py": ""})
    assert deeds(there) == [InsertRun(), ClaimRun(0)]


def test_a_run_in_the_store_needs_its_config_map_no_more():
    given = workflow(spec=spec(source_config_map="bank-code"), status=started())
    assert deeds(observed(run(), workflow=given, source_problem="gone")) == [ClaimRun(0)]


@pytest.mark.parametrize("stored", [None, run(), claimed()])
def test_a_spec_that_cannot_be_taken_starts_nothing(stored):
    given = workflow(spec=None, problem="spec.entrypoint is missing", status=started() if stored else None)
    given = given if stored else workflow(spec=None, problem="spec.entrypoint is missing")
    seen = observed(stored, workflow=given)
    assert deeds(seen) == []
    assert reason(seen) == "InvalidSpec"
    assert "spec.entrypoint is missing" in message(seen)
    assert requeue_after(seen) is not None


def test_a_problem_counts_whatever_spec_comes_with_it():
    assert deeds(observed(workflow=workflow(problem="odd"))) == []


def test_a_workflow_that_goes_before_it_started_starts_nothing():
    assert decide(observed(workflow=workflow(deleting=True))) == []


def test_a_workflow_that_is_cancelled_before_it_started_is_finished():
    seen = observed(workflow=workflow(spec=spec(cancel=True)))
    assert deeds(seen) == []
    assert reason(seen) == "Cancelled"


def test_a_run_that_nobody_holds_is_cancelled():
    assert deeds(observed(run(), workflow=workflow(spec=spec(cancel=True), status=started()))) == [RequestCancel()]


def test_a_parked_run_rests():
    seen = observed(run(RunState.WAITING, 1))
    assert (deeds(seen), reason(seen)) == ([], "Waiting")
    assert "Reconciling" not in new_status(seen).conditions
