"""In the operator's own namespace nothing starts; what runs there goes on, and what it has finished is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure.store.runs.model import RunState
from perdure_operator.decide.actions import ClaimRun, InsertRun, ReleaseRun, RequestCancel
from perdure_operator.decide.observed import PodPhase, Policy
from tests.unit.operator.decide.builders import (
    LIMITS,
    OTHER_STORE,
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
    story,
    told,
    workflow,
)

BARRED = Policy(barred_namespace="shop")
ELSEWHERE = Policy(barred_namespace="perdure")


def test_a_new_workflow_starts_nothing_and_says_where_it_may_and_who_can_allow_it():
    seen = observed(workflow=workflow(), policy=BARRED)
    assert deeds(seen) == []
    assert reason(seen) == "NamespaceRefused"
    assert "no Workflow starts in shop" in message(seen)
    assert "create it in another namespace" in message(seen)
    assert "workflows.inReleaseNamespace" in message(seen)
    assert new_status(seen).store_id is None
    assert new_status(seen).phase == "Stalled"
    assert story(seen) == ["NamespaceRefused"]
    assert requeue_after(seen) is not None


def test_it_starts_once_that_is_allowed():
    refused = told(observed(workflow=workflow(), policy=BARRED))
    assert deeds(replace(refused, policy=Policy())) == [InsertRun(), ClaimRun(0)]


def test_a_workflow_of_another_namespace_starts():
    assert deeds(observed(workflow=workflow(), policy=ELSEWHERE)) == [InsertRun(), ClaimRun(0)]


@pytest.mark.parametrize("changes", [{"spec": None, "problem": "odd"}, {"spec": spec(source_config_map="code")}])
def test_where_it_is_is_said_before_what_else_is_wrong_with_it(changes):
    assert reason(observed(workflow=workflow(**changes), policy=BARRED)) == "NamespaceRefused"


def test_an_attempt_that_runs_goes_on_to_its_end():
    seen = observed(begun(), [pod()], policy=BARRED)
    assert (deeds(seen), reason(seen)) == ([], "Running")
    done = observed(run(RunState.SUCCEEDED, 1, finished=ago(1), result="1"), [pod()], policy=BARRED)
    assert reason(done) == "Succeeded"


def test_the_next_attempt_waits_and_nothing_is_lost():
    seen = observed(run(attempt=1, crashes=1, steps=2, last=ended_attempt()), policy=BARRED)
    assert deeds(seen) == []
    assert reason(seen) == "NamespaceRefused"
    assert "What the run has finished is kept" in message(seen)
    assert "NamespaceRefused" in story(seen)
    assert deeds(replace(told(seen), policy=Policy())) == [ClaimRun(1)]


@pytest.mark.parametrize("pods", [[], [pod(phase=PodPhase.PENDING)], [pod()]])
def test_an_attempt_that_has_not_begun_gives_the_run_back(pods):
    [back] = deeds(observed(claimed(), pods, pod_gone=not pods, policy=BARRED))
    assert isinstance(back, ReleaseRun)
    assert (back.ending, back.detail) == ("released", "no attempt begins in the operator's own namespace")


def test_a_place_is_not_waited_for_and_a_delay_not_waited_out():
    assert reason(observed(run(), capacity="full", policy=BARRED)) == "NamespaceRefused"
    assert reason(observed(run(attempt=1, delay=4.0, due_in=4.0), policy=BARRED)) == "NamespaceRefused"


def test_a_person_can_cancel_it_and_delete_it():
    cancelled = workflow(spec=spec(cancel=True))
    assert reason(observed(workflow=cancelled, policy=BARRED)) == "Cancelled"
    assert decide(observed(workflow=workflow(deleting=True), policy=BARRED)) == []
    held = replace(cancelled, status=started())
    assert deeds(observed(run(), workflow=held, policy=BARRED)) == [RequestCancel()]
    going = workflow(deleting=True, status=started())
    assert deeds(observed(run(), workflow=going, policy=BARRED)) == [RequestCancel()]


def test_a_cleanup_waits_until_it_is_allowed_or_given_up():
    cancelled = replace(LIMITS, cancel=True)
    stopped = run(attempt=1, limits=cancelled, cleanup_left=60.0, last=ended_attempt())
    wanted = workflow(spec=spec(cancel=True), status=started())
    assert reason(observed(stopped, workflow=wanted, policy=BARRED)) == "NamespaceRefused"
    gone = replace(wanted, deleting=True)
    assert deeds(observed(stopped, workflow=gone, policy=BARRED)) == [RequestCancel(at_once=True)]


def test_a_store_that_lacks_what_its_status_rests_on_is_told_of_first():
    assert reason(observed(store_id=OTHER_STORE, policy=BARRED)) == "CheckpointsMissing"
