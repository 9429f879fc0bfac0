"""Pods of ended attempts: which stay, and for how long."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure.store.runs.model import RunState
from perdure_operator.decide.actions import DeletePod
from perdure_operator.decide.observed import ContainerEnd, PodPhase
from tests.unit.operator.decide.builders import (
    NOW,
    ago,
    begun,
    claimed,
    deeds,
    ended_attempt,
    observed,
    over,
    pod,
    requeue_after,
    run,
    token,
    told,
)


def deleted(seen) -> list[int]:
    return sorted(action.pod.attempt for action in deeds(seen) if isinstance(action, DeletePod))


def test_the_last_three_failed_pods_of_a_run_stay():
    pods = [over(number) for number in (3, 1, 5, 2, 4)]
    assert deleted(observed(begun(6), [*pods, pod(6)])) == [1, 2]


def test_the_pod_of_the_attempt_that_holds_the_run_is_no_ended_one():
    assert deleted(observed(begun(4), [over(1), over(2), over(3), pod(4)])) == []


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
def test_the_last_three_stay_when_the_run_fails(state):
    ended = observed(run(state, 5, finished=ago(10_000)), [over(number) for number in range(1, 6)])
    assert deleted(ended) == [1, 2]
    assert deleted(told(ended)) == [1, 2]


def test_a_succeeded_runs_pods_go_after_ten_minutes():
    seen = told(observed(run(RunState.SUCCEEDED, 2, finished=ago(599)), [over(1), over(2, code=0)]))
    assert deleted(seen) == []
    assert requeue_after(seen) == 1.0
    assert deleted(replace(seen, now=NOW.replace(second=1))) == [1, 2]


def test_a_pod_that_still_lives_after_its_attempt_ended_goes_after_a_while():
    ended = run(attempt=1, delay=300.0, due_in=300.0, last=ended_attempt())
    assert deleted(observed(ended, [pod(1)])) == []
    assert requeue_after(observed(ended, [pod(1)])) <= 30
    assert deleted(observed(replace(ended, last=replace(ended_attempt(), at=ago(31))), [pod(1)])) == [1]


def test_a_pod_of_an_attempt_before_a_long_claim_goes():
    assert deleted(observed(begun(2, claimed_for=5.0), [pod(1), pod(2)], now=ago(35))) == []
    assert deleted(observed(begun(2, claimed_for=31.0), [pod(1), pod(2)])) == [1]


def test_a_pod_that_never_started_goes_at_once():
    pods = [pod(1, PodPhase.PENDING), pod(2, PodPhase.PENDING)]
    assert deleted(observed(claimed(2), pods)) == [1]


def test_a_pod_whose_attempt_was_over_before_the_kubelet_told_of_it_stays_for_its_logs():
    short = run(RunState.SUCCEEDED, 1, finished=ago(1), last=ended_attempt(ending="completed", detail=None))
    assert deleted(told(observed(short, [pod(1, PodPhase.PENDING)]))) == []


def test_a_pod_that_goes_already_is_not_deleted_again():
    assert deleted(observed(begun(2, claimed_for=100.0), [pod(1, deleting=True), pod(2)])) == []


def test_a_sidecar_goes_after_the_run_has_ended():
    lingering = pod(1, end=ContainerEnd(0, "Completed"), finished_at=ago(31))
    assert deleted(observed(run(RunState.SUCCEEDED, 1, finished=ago(31)), [lingering])) == [1]


def test_another_claims_pod_of_this_attempt_is_an_ended_one():
    assert deleted(observed(begun(2, claimed_for=100.0), [pod(2), pod(2, uid="x", claim=token(2, other=1))])) == [2]


def test_the_logs_of_the_newest_attempts_are_the_ones_that_stay():
    pods = [over(number, created=ago(100 + number)) for number in range(1, 6)]
    assert deleted(observed(begun(6), [*pods, pod(6)])) == [1, 2]


def test_a_pod_of_a_later_attempt_than_is_known_is_another_operators_business():
    pods = [pod(1), pod(2, created=ago(500)), pod(3, PodPhase.PENDING, created=ago(500))]
    assert deleted(observed(begun(1, claimed_for=100.0), pods)) == []
