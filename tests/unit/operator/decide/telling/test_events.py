"""The story that `kubectl describe` tells: each event once, with the status that it comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure.store.runs.model import RunState
from perdure_operator.decide.actions import PostEvent, WriteStatus
from perdure_operator.decide.observed import PodPhase
from tests.unit.operator.decide.builders import (
    LIMITS,
    NOW,
    OTHER_STORE,
    begun,
    claimed,
    decide,
    ended_attempt,
    observed,
    over,
    pod,
    run,
    spec,
    started,
    story,
    told,
    workflow,
)

RUNNING = told(observed(begun(), [pod()]))
STARTED = workflow(status=decide(observed(workflow=workflow()))[1].status)


def test_a_first_attempt_has_started():
    starting = told(observed(claimed(), [pod(phase=PodPhase.PENDING)], workflow=STARTED))
    assert story(observed(claimed(), [pod(phase=PodPhase.PENDING)], workflow=STARTED)) == []
    seen = replace(starting, run=begun(), pods=[pod()])
    assert story(seen) == ["Started"]
    assert story(told(seen)) == []


def test_an_attempt_of_which_nothing_was_heard_for_a_while():
    seen = told(replace(RUNNING, left_alone="9 of 10 attempts fell silent at once"))
    assert story(replace(RUNNING, left_alone="9 of 10 attempts fell silent at once")) == ["StoreSuspected"]
    assert story(seen) == []
    assert story(replace(seen, left_alone=None)) == ["Resumed"]


def test_events_come_with_a_status_and_after_it():
    actions = decide(observed(begun(), [pod()]))
    kinds = [type(action) for action in actions]
    assert kinds.index(WriteStatus) < kinds.index(PostEvent)


def test_a_crash_and_the_attempt_after_it():
    seen = replace(RUNNING, run=claimed(2, last=ended_attempt()), pods=[over(1), pod(2, PodPhase.PENDING)])
    assert story(seen) == ["Crashed"]
    [event] = [one for one in decide(seen) if isinstance(one, PostEvent)]
    assert event.warning
    assert "killed by SIGKILL" in event.message
    seen = replace(told(seen), run=begun(2, last=ended_attempt(), steps=2), pods=[over(1), pod(2)])
    assert story(seen) == ["Resumed"]
    [event] = [one for one in decide(seen) if isinstance(one, PostEvent)]
    assert "attempt 2" in event.message
    assert "2 finished steps" in event.message


def test_a_crash_and_its_delay_are_one_event():
    seen = replace(RUNNING, run=run(attempt=1, delay=4.0, due_in=4.0, last=ended_attempt()), pods=[over(1)])
    assert story(seen) == ["Crashed"]
    seen = replace(told(seen), run=claimed(2, last=ended_attempt()), pods=[over(1), pod(2, PodPhase.PENDING)])
    assert story(seen) == []


def test_a_crash_before_anything_else_was_told():
    seen = observed(run(attempt=1, delay=4.0, due_in=4.0, last=ended_attempt(1, "never begun")), workflow=STARTED)
    assert story(seen) == ["Crashed"]
    assert story(told(seen)) == []


@pytest.mark.parametrize("ending", ["evicted", "node lost", "released"])
def test_a_disruption(ending):
    seen = replace(RUNNING, run=begun(2, last=ended_attempt(1, ending, "drained")), pods=[over(1), pod(2)])
    assert story(seen) == ["Disrupted", "Resumed"]


def test_an_attempt_that_made_way_for_another_is_no_news():
    seen = replace(RUNNING, run=begun(2, last=ended_attempt(1, "superseded", None)), pods=[pod(2)])
    assert story(seen) == ["Resumed"]


@pytest.mark.parametrize(
    ("state", "event", "warning"),
    [
        (RunState.SUCCEEDED, "Succeeded", False),
        (RunState.FAILED, "Failed", True),
        (RunState.CANCELLED, "Cancelled", False),
    ],
)
def test_an_end(state, event, warning):
    seen = replace(RUNNING, run=run(state, 1, finished=NOW, last=ended_attempt()))
    [posted] = [one for one in decide(seen) if isinstance(one, PostEvent)]
    assert (posted.reason, posted.warning) == (event, warning)
    assert story(told(seen)) == []


def test_an_attempt_that_ended_its_run_between_two_looks_is_told_of_first():
    done = run(RunState.SUCCEEDED, 1, finished=NOW, last=ended_attempt(1, "completed", None))
    assert story(observed(done, [over(1, 0)], workflow=STARTED)) == ["Started", "Succeeded"]
    assert story(replace(RUNNING, run=done, pods=[over(1, 0)])) == ["Succeeded"]
    crashed = replace(RUNNING, run=claimed(2, last=ended_attempt()), pods=[over(1), pod(2, PodPhase.PENDING)])
    done = run(RunState.FAILED, 2, finished=NOW, last=ended_attempt(2, "completed", None))
    assert story(replace(told(crashed), run=done, pods=[over(1), over(2, 1)])) == ["Resumed", "Failed"]


def test_an_attempt_that_crashed_between_two_looks_is_told_of_first():
    crashed = run(attempt=1, delay=4.0, due_in=4.0, last=ended_attempt())
    assert story(observed(crashed, [over(1)], workflow=STARTED)) == ["Started", "Crashed"]
    unbegun = replace(crashed, last=ended_attempt(ending="never begun"))
    assert story(observed(unbegun, [over(1)], workflow=STARTED)) == ["Crashed"]


def test_suspending_and_resuming():
    suspended = replace(RUNNING.workflow, spec=spec(suspend=True))
    limits = replace(LIMITS, suspend=True)
    seen = told(replace(RUNNING, workflow=suspended, run=begun(limits=limits)))
    seen = replace(seen, run=run(attempt=1, limits=limits, last=ended_attempt(1, "released")), pods=[over(1, 75)])
    assert story(seen) == ["Suspended"]
    rested = told(seen)
    assert story(rested) == []
    resumed = replace(
        rested,
        workflow=replace(rested.workflow, spec=spec()),
        run=claimed(2, last=ended_attempt(1, "released")),
        pods=[over(1, 75), pod(2, PodPhase.PENDING)],
    )
    assert story(resumed) == ["Resuming"]
    assert story(told(resumed)) == []


def test_a_suspension_that_was_taken_back_in_time():
    suspended = replace(RUNNING.workflow, spec=spec(suspend=True))
    seen = told(replace(RUNNING, workflow=suspended, run=begun(limits=replace(LIMITS, suspend=True))))
    assert story(replace(seen, workflow=replace(seen.workflow, spec=spec()), run=begun())) == ["Resuming"]


def test_a_stall_is_told_with_its_reason_once():
    seen = observed(store_id=OTHER_STORE)
    assert story(seen) == ["CheckpointsMissing"]
    assert story(told(seen)) == []
    image = observed(claimed(), [pod(phase=PodPhase.PENDING, waiting=("ErrImagePull", "a"))])
    assert story(image) == ["ImagePullFailed"]
    flapping = [pod(phase=PodPhase.PENDING, waiting=("ImagePullBackOff", "b"))]
    assert story(replace(told(image), pods=flapping)) == []


def test_nothing_is_told_of_counts():
    assert story(replace(RUNNING, run=begun(steps=4))) == []


def test_a_workflow_whose_status_was_wiped_is_told_of_anew():
    seen = observed(begun(3, steps=1, last=ended_attempt(2)), [pod(3)], workflow=workflow(status=started()))
    assert story(seen) == ["Resumed"]
