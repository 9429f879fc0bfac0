"""The status: conditions by the table, what kstatus reads in them, what is written when, and how large it may be."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.store.runs.model import RunState
from perdure_operator.api.status_document import read_status, status_document
from perdure_operator.decide.actions import RequeueAfter, WriteStatus
from perdure_operator.decide.observed import PodPhase, Policy
from tests.unit.operator.decide.builders import (
    LIMITS,
    NOW,
    OTHER_STORE,
    ago,
    begun,
    claimed,
    decide,
    ended_attempt,
    message,
    new_status,
    observed,
    over,
    pod,
    reason,
    run,
    spec,
    started,
    told,
    workflow,
)
from tests.unit.operator.decide.kstatus import kstatus


def failed(type: str = "bank:NoMoney", message: str = "not enough"):
    return run(RunState.FAILED, 1, finished=ago(1), error=json.dumps({"type": type, "message": message}))


WAITS = {
    "Starting": observed(claimed(), [pod(phase=PodPhase.PENDING)]),
    "Running": observed(begun(), [pod()]),
    "BackingOff": observed(run(attempt=3, delay=4.0, due_in=4.0, last=ended_attempt(3))),
    "AtCapacity": observed(run(), capacity="full"),
    "StoreSuspected": observed(begun(), [pod()], left_alone="9 of 10 fell silent"),
    "Unschedulable": observed(claimed(), [pod(phase=PodPhase.PENDING, waiting=("Unschedulable", "no node"))]),
    "Cancelling": observed(
        begun(limits=replace(LIMITS, cancel=True)), [pod()], workflow=workflow(spec=spec(cancel=True), status=started())
    ),
    "Suspending": observed(
        begun(limits=replace(LIMITS, suspend=True)),
        [pod()],
        workflow=workflow(spec=spec(suspend=True), status=started()),
    ),
    "Pending": observed(workflow=workflow(spec=spec(source_config_map="code"))),
}
RESTS = {
    "Suspended": observed(
        run(limits=replace(LIMITS, suspend=True)), workflow=workflow(spec=spec(suspend=True), status=started())
    ),
    "Waiting": observed(run(RunState.WAITING, 1)),
}
STALLS = {
    "ImagePullFailed": observed(claimed(), [pod(phase=PodPhase.PENDING, waiting=("ErrImagePull", "not found"))]),
    "PodRefused": observed(claimed(), refused="spec.containers: Invalid value"),
    "InvalidSpec": observed(workflow=workflow(spec=None, problem="odd")),
    "NamespaceRefused": observed(workflow=workflow(), policy=Policy(barred_namespace="shop")),
    "CheckpointsMissing": observed(store_id=OTHER_STORE),
    "StoreUnreachable": observed(
        run(attempt=3, delay=4.0, due_in=4.0, last=ended_attempt(3, "store unreachable")),
    ),
    "BegunElsewhere": observed(
        run(attempt=3, delay=4.0, due_in=4.0, last=ended_attempt(3, "begun elsewhere")),
    ),
    "CannotStart": observed(
        run(
            attempt=1,
            delay=30.0,
            due_in=20.0,
            last=ended_attempt(1, AttemptEnd.COULD_NOT_START, "ImagePullFailed: not found"),
        ),
    ),
    "SourceMissing": observed(workflow=workflow(spec=spec(source_config_map="code")), source_problem="none there"),
}
FAILURES = {
    "Failed": observed(failed()),
    "Cancelled": observed(run(RunState.CANCELLED, 1, finished=ago(1))),
    "DeadlineExceeded": observed(failed("perdure.errors:DeadlineExceeded")),
    "BackoffLimitExceeded": observed(failed("perdure.errors:BackoffLimitExceeded")),
    "DisruptionLimitExceeded": observed(failed("perdure.errors:DisruptionLimitExceeded")),
    "InvalidInput": observed(failed("perdure.errors:InputError")),
    "InvalidEntrypoint": observed(failed("perdure.errors:EntrypointError")),
}
SUCCESS = observed(run(RunState.SUCCEEDED, 1, finished=ago(1), steps=3, result='{"ok": true}'))

ROWS = [
    *((name, seen, "False Unknown True -", "InProgress") for name, seen in WAITS.items()),
    *((name, seen, "False Unknown - -", "Current") for name, seen in RESTS.items()),
    *((name, seen, "False Unknown - True", "Failed") for name, seen in STALLS.items()),
    ("Succeeded", SUCCESS, "True True - -", "Current"),
    *((name, seen, "True False - True", "Failed") for name, seen in FAILURES.items()),
]
EVERY = [pytest.param(*row, id=row[0]) for row in ROWS]


@pytest.mark.parametrize(("name", "seen", "row", "read"), EVERY)
def test_the_table_of_conditions(name, seen, row, read):
    conditions = new_status(seen).conditions
    kinds = ("Finished", "Succeeded", "Reconciling", "Stalled")
    assert " ".join(conditions[kind].status if kind in conditions else "-" for kind in kinds) == row
    assert set(conditions) <= set(kinds)
    assert {condition.reason for condition in conditions.values()} == {name}
    assert all(condition.message for condition in conditions.values())
    assert all(kind == condition.type for kind, condition in conditions.items())


@pytest.mark.parametrize(("name", "seen", "row", "read"), EVERY)
def test_kstatus_reads_it(name, seen, row, read):
    after = told(seen).workflow
    assert kstatus(after) == read
    assert kstatus(replace(after, generation=after.generation + 1)) == "InProgress"


@pytest.mark.parametrize(("name", "seen", "row", "read"), EVERY)
def test_what_is_told_is_told_once(name, seen, row, read):
    assert not any(isinstance(action, WriteStatus) for action in decide(told(seen)))


@pytest.mark.parametrize(("name", "seen", "row", "read"), EVERY)
def test_every_wait_is_looked_at_again(name, seen, row, read):
    if not row.startswith("True"):
        assert any(isinstance(action, RequeueAfter) for action in decide(told(seen)))


@pytest.mark.parametrize(("name", "seen", "row", "read"), EVERY)
def test_a_new_spec_is_seen_in_every_state(name, seen, row, read):
    after = told(seen)
    newer = replace(after, workflow=replace(after.workflow, generation=7), refused_generation=7)
    status = new_status(newer)
    assert status.observed_generation == 7
    assert {condition.generation for condition in status.conditions.values()} == {7}
    assert kstatus(told(newer).workflow) == read


@pytest.mark.parametrize(("name", "seen", "row", "read"), EVERY)
def test_the_phase_is_a_word_for_people(name, seen, row, read):
    phases = "Pending Starting Running BackingOff Suspended Waiting Stalled Cancelling Succeeded Failed Cancelled"
    assert new_status(seen).phase in phases.split()


@pytest.mark.parametrize(
    ("name", "phase"),
    [("AtCapacity", "Pending"), ("Unschedulable", "Pending"), ("Suspending", "Running"), ("BackingOff", "BackingOff")],
)
def test_phases_of_waits(name, phase):
    assert new_status(WAITS[name]).phase == phase


def test_phases_of_ends():
    assert new_status(SUCCESS).phase == "Succeeded"
    assert {name: new_status(seen).phase for name, seen in FAILURES.items()} == {
        name: "Cancelled" if name == "Cancelled" else "Failed" for name in FAILURES
    }
    assert {new_status(seen).phase for seen in STALLS.values()} == {"Stalled"}


def test_a_condition_keeps_its_time_while_its_status_stays():
    seen = told(observed(claimed(), [pod(phase=PodPhase.PENDING)], now=ago(60)))
    running = replace(seen, run=begun(), pods=[pod()], now=NOW)
    conditions = new_status(running).conditions
    assert conditions["Reconciling"].since == ago(60)
    assert conditions["Reconciling"].reason == "Running"
    done = replace(told(running), run=run(RunState.SUCCEEDED, 1, finished=NOW))
    assert {name: one.since for name, one in new_status(done).conditions.items()} == {"Finished": NOW, "Succeeded": NOW}


def test_times_are_whole_seconds_as_the_api_server_keeps_them():
    seen = observed(workflow=workflow(), now=NOW.replace(microsecond=7))
    assert new_status(seen).start_time == NOW
    assert new_status(seen).conditions["Finished"].since == NOW


def test_an_end_has_its_time_result_and_no_current_step():
    status = new_status(replace(SUCCESS, run=replace(SUCCESS.run, current_step="old")))
    assert (status.completion_time, status.result, status.current_step) == (ago(1), '{"ok": true}', None)
    assert (status.attempts, status.steps_completed) == (1, 3)
    assert status.error_type is None


def test_a_long_result_is_read_in_the_store():
    for result in (None, '"' + "x" * 5000 + '"'):
        status = new_status(replace(SUCCESS, run=replace(SUCCESS.run, result=result, result_bytes=5002)))
        assert "perdure show" in status.result
        assert "5002" in status.result


def test_a_workflow_that_returns_nothing_has_no_result():
    assert new_status(replace(SUCCESS, run=replace(SUCCESS.run, result=None))).result is None
    assert new_status(replace(SUCCESS, run=replace(SUCCESS.run, result="null"))).result == "null"


@pytest.mark.parametrize("size", [10, 900, 1024, 100_000])
@pytest.mark.parametrize("letter", ["x", "ü", "\U0001f9ea", "\ud800"])
def test_an_error_is_told_within_its_limit(size, letter):
    status = new_status(observed(failed(type="bank:" + letter * size, message=letter * size)))
    assert len(status.error_type.encode()) + len((status.error_message or "").encode()) <= 1024
    assert all(len(one.message.encode()) <= 1024 for one in status.conditions.values())


@pytest.mark.parametrize("error", [None, "", "{", "[]", '"text"', "{}", '{"type": 3, "message": []}', "[" * 100_000])
def test_an_error_that_cannot_be_read_is_a_failure_all_the_same(error):
    seen = observed(run(RunState.FAILED, 1, finished=NOW, error=error))
    assert reason(seen) == "Failed"
    assert message(seen)


def test_an_error_says_its_type_and_message():
    status = new_status(FAILURES["Failed"])
    assert (status.error_type, status.error_message) == ("bank:NoMoney", "not enough")
    assert status.conditions["Finished"].message == "NoMoney: not enough"


@pytest.mark.parametrize(("name", "seen", "row", "read"), EVERY)
def test_the_api_server_gives_it_back_as_it_is(name, seen, row, read):
    status = replace(new_status(seen), restart="yes", cancel_time=NOW, result=None)
    assert read_status(status_document(status)) == status


# What is written when.


def written(seen) -> Any:
    return next((one for one in decide(seen) if isinstance(one, WriteStatus)), None)


def test_steps_alone_may_wait():
    seen = told(WAITS["Running"])
    further = replace(seen, run=replace(seen.run, steps=2, current_step="deposit"))
    assert written(further).soon
    assert written(further).status.steps_completed == 2
    assert written(further).status.current_step == "deposit"


def test_other_words_for_the_same_may_wait():
    seen = told(WAITS["Unschedulable"])
    assert written(replace(seen, pods=[replace(seen.pods[0], waiting=("Unschedulable", "other words"))])).soon


def test_the_first_pods_name_may_wait_while_it_starts():
    [_, first, _] = decide(observed(workflow=workflow()))
    seen = observed(claimed(), [pod(phase=PodPhase.PENDING)], workflow=workflow(status=first.status))
    assert written(seen).soon
    assert written(seen).status.pod_name == pod().name
    assert not written(replace(seen, run=begun(), pods=[pod()])).soon


def test_a_new_attempt_is_told_at_once():
    seen = told(WAITS["Running"])
    assert not written(replace(seen, run=claimed(2), pods=[over(1), pod(2, PodPhase.PENDING)])).soon
    assert not written(replace(seen, run=begun(2), pods=[over(1), pod(2)])).soon


def test_counts_of_a_process_that_replays_take_nothing_back():
    seen = told(replace(WAITS["Running"], run=begun(steps=3)))
    assert written(replace(seen, run=begun(steps=0))) is None


def test_time_alone_changes_nothing():
    for seen in (*WAITS.values(), *RESTS.values(), *STALLS.values()):
        later = replace(told(seen), now=NOW.replace(second=20))
        if later.run is not None and later.run.delay:
            later = replace(later, run=replace(later.run, due_in=0.5))
        assert written(later) is None
