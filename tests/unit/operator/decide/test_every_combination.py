"""Every combination of run, pod, switch and status: each law of `decide` holds of each answer."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from perdure_operator.decide.actions import (
    ClaimRun,
    CreatePod,
    EndRun,
    InsertRun,
    ReleaseRun,
    RequestCancel,
    WriteStatus,
)
from perdure_operator.decide.observed import Observed
from perdure_operator.decide.plan import Reason
from tests.unit.operator.decide.builders import decide
from tests.unit.operator.decide.combinations import (
    PODS,
    RUNS,
    SITUATIONS,
    STATUSES,
    SWITCHES,
    in_situations,
    of_one_run,
)
from tests.unit.operator.decide.laws import LAWS


def check(combinations: Iterable[tuple[str, Observed]]) -> int:
    """Hold each to the laws; how many there were."""
    number = 0
    for number, (name, seen) in enumerate(combinations, 1):  # noqa: B007 the last one is the count
        actions = decide(seen)
        for law in LAWS:
            try:
                law(seen, actions)
            except AssertionError as error:
                raise AssertionError(f"{name}: {actions}") from error
    return number


@pytest.mark.parametrize("name", RUNS)
def test_a_run_with_every_pod_switch_and_status(name: str) -> None:
    assert check(of_one_run(name)) == len(PODS) * len(SWITCHES) * len(STATUSES)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_in_every_situation(name: str) -> None:
    assert check(in_situations(name)) > 5 * 5 * len(STATUSES)


def test_there_is_every_state_phase_and_switch() -> None:
    assert (len(RUNS), len(PODS), len(SWITCHES), len(STATUSES), len(SITUATIONS)) == (53, 45, 10, 6, 11)
    runs = [run for run in RUNS.values() if run is not None]
    assert len({run.state for run in runs}) == 6
    assert {(run.claim is not None, run.begun, run.silent is not None) for run in runs} == {
        (False, False, False),
        (True, False, False),
        (True, True, False),
        (True, True, True),
    }
    assert len({pod.phase for pods in PODS.values() for pod in pods}) == 5


@pytest.mark.timeout(180)
def test_among_them_is_everything_that_can_be_done_or_told() -> None:
    done, told = set(), set()
    for name in (name for name in RUNS if "clean" not in name):  # a cleanup is told as any cancellation
        for _, seen in in_situations(name):
            answer = decide(seen)
            done |= {type(action) for action in answer}
            told |= {
                action.status.conditions["Finished"].reason for action in answer if isinstance(action, WriteStatus)
            }
    assert done >= {InsertRun, ClaimRun, CreatePod, ReleaseRun, RequestCancel, EndRun}
    # The others are of what only a pod on its way, the error of a run, or a ConfigMap tells.
    assert told >= {
        Reason.AT_CAPACITY,
        Reason.STARTING,
        Reason.RUNNING,
        Reason.BACKING_OFF,
        Reason.SUSPENDING,
        Reason.CANCELLING,
        Reason.STORE_SUSPECTED,
        Reason.SUSPENDED,
        Reason.WAITING,
        Reason.INVALID_SPEC,
        Reason.NAMESPACE_REFUSED,
        Reason.CHECKPOINTS_MISSING,
        Reason.POD_REFUSED,
        Reason.SUCCEEDED,
        Reason.FAILED,
        Reason.CANCELLED,
    }
