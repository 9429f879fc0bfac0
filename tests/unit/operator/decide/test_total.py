"""For any observed world at all: an answer, always the same, that does or tells something, and comes to rest."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from perdure_operator.actions import (
    ClaimRun,
    CreatePod,
    DeletePod,
    HandBack,
    InsertRun,
    LookAgain,
    PostEvent,
    SetLimits,
    WriteStatus,
)
from perdure_operator.observed import Observed
from tests.harness.scale import SCALE
from tests.unit.operator.decide import strategies
from tests.unit.operator.decide.builders import decide
from tests.unit.operator.decide.kstatus import kstatus


def it_answers_always_and_always_the_same(seen: Observed):
    first = decide(seen)
    assert decide(seen) == first
    assert decide(replace(seen, pods=list(seen.pods))) == first


def one_status_at_most_and_events_only_with_it(seen: Observed):
    kinds = [type(action) for action in decide(seen)]
    assert kinds.count(WriteStatus) <= 1
    assert kinds.count(LookAgain) <= 1
    if PostEvent in kinds:
        assert kinds.index(WriteStatus) < kinds.index(PostEvent)
    for action in decide(seen):
        if isinstance(action, LookAgain):
            assert action.after > 0


def a_status_that_was_written_is_not_written_again(seen: Observed):
    for _ in range(3):
        statuses = [action.status for action in decide(seen) if isinstance(action, WriteStatus)]
        if not statuses:
            return
        seen = replace(seen, workflow=replace(seen.workflow, status=statuses[0]))
    raise AssertionError(f"status after status: {decide(seen)}")


def every_answer_does_something_or_tells_what_it_waits_for(seen: Observed):
    actions = decide(seen)
    waits = all(isinstance(action, (WriteStatus, PostEvent, LookAgain, DeletePod, SetLimits)) for action in actions)
    status = next((action.status for action in actions if isinstance(action, WriteStatus)), seen.workflow.status)
    told = status.conditions.get("Finished")
    if waits and not seen.workflow.deleting:
        assert told is not None
        assert told.status == "True" or any(isinstance(action, LookAgain) for action in actions)
        assert kstatus(replace(seen.workflow, status=status)) in {"InProgress", "Failed", "Current"}


def nothing_starts_that_must_not(seen: Observed):
    workflow = seen.workflow
    starts = [action for action in decide(seen) if isinstance(action, (InsertRun, ClaimRun, CreatePod))]
    if not starts:
        return
    assert not finished(seen)
    assert not workflow.deleting
    assert workflow.spec is not None
    assert workflow.problem is None
    assert not workflow.spec.cancel
    asked = workflow.restart is not None and workflow.restart != workflow.status.restart
    if not asked:
        assert workflow.status.store_id in (None, seen.store_id)
        assert seen.run is not None or (workflow.status.store_id is None and not seen.pods)
        assert seen.run is None or seen.run.attempt >= workflow.status.attempts
    bound = workflow.status.store_id == seen.store_id and workflow.status.start_time is not None
    kinds = [type(action) for action in decide(seen)]
    if (ClaimRun in kinds or CreatePod in kinds) and not bound:
        assert kinds.index(WriteStatus) == kinds.index(next(k for k in kinds if k in (ClaimRun, CreatePod))) - 1


def only_the_claim_that_holds_the_run_is_handed_back(seen: Observed):
    for action in decide(seen):
        if isinstance(action, HandBack):
            assert seen.run is not None
            assert action.claim == seen.run.claim
            assert action.ending in {"crashed", "lost", "never begun", "handed back", "evicted", "node lost"}


def no_pod_of_the_claim_that_holds_the_run_is_deleted_but_to_cancel_it(seen: Observed):
    for action in decide(seen):
        run = seen.run
        if isinstance(action, DeletePod) and run is not None and action.pod.claim == run.claim is not None:
            assert run.limits.cancel or run.state.ended or finished(seen)


def a_status_stays_small(seen: Observed):
    if finished(seen):
        return
    for action in decide(seen):
        if isinstance(action, WriteStatus):
            status = action.status
            assert all(len(condition.message.encode()) <= 1024 for condition in status.conditions.values())
            assert set(status.conditions) <= {"Finished", "Succeeded", "Reconciling", "Stalled"}


def finished(seen: Observed) -> bool:
    condition = seen.workflow.status.conditions.get("Finished")
    return condition is not None and condition.status == "True"


@settings(max_examples=400 * SCALE, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.anything)
def test_whatever_is_observed(seen: Observed):
    it_answers_always_and_always_the_same(seen)
    one_status_at_most_and_events_only_with_it(seen)
    a_status_that_was_written_is_not_written_again(seen)
    every_answer_does_something_or_tells_what_it_waits_for(seen)
    nothing_starts_that_must_not(seen)
    only_the_claim_that_holds_the_run_is_handed_back(seen)
    no_pod_of_the_claim_that_holds_the_run_is_deleted_but_to_cancel_it(seen)
    a_status_stays_small(seen)
