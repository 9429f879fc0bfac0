"""An attempt that cannot start, and the place that it holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure_operator.decide.actions import CreatePod, ReleaseRun
from perdure_operator.decide.observed import PodPhase, Stage
from perdure_operator.decide.places import Hindrance, hindrance
from tests.unit.operator.decide.builders import (
    claimed,
    decide,
    deeds,
    ended_attempt,
    new_status,
    observed,
    pod,
    reason,
    requeue_after,
    run,
    token,
)


def pending(waiting: tuple[str, str] | None = None, **changes):
    return pod(phase=PodPhase.PENDING, waiting=waiting, **{"stage": Stage.TAKEN, **changes})


PULL = pending(("ImagePullBackOff", "no such image"))
CASES = [
    (PULL, Hindrance.IMAGE, 60, "ImagePullFailed"),
    (pending(("CreateContainerConfigError", "no Secret")), Hindrance.CONTAINER, 60, "PodRefused"),
    (pending(("Unschedulable", "0/3 nodes"), stage=Stage.UNBOUND), Hindrance.NODE, 300, "Unschedulable"),
    (pending(stage=Stage.UNBOUND), Hindrance.NODE, 300, "Starting"),
    (pending(unready=True), Hindrance.VOLUMES, 300, "Starting"),
]


@pytest.mark.parametrize(("stuck", "what", "patience", "said"), CASES)
def test_it_is_given_back_once_its_time_is_over_and_somebody_waits(stuck, what, patience, said):
    seen = observed(claimed(), [stuck], wanted=True)
    assert hindrance(seen) is what
    assert deeds(replace(seen, hindered_for=patience - 1.0)) == []
    assert requeue_after(replace(seen, hindered_for=patience - 1.0)) == 1
    [back] = deeds(replace(seen, hindered_for=float(patience)))
    assert isinstance(back, ReleaseRun)
    assert (back.claim, back.ending) == (token(1), AttemptEnd.COULD_NOT_START)
    assert back.detail.startswith(f"{said}: ")
    assert deeds(replace(seen, hindered_for=1e6, wanted=False)) == []


def test_so_is_that_of_a_pod_that_is_refused():
    seen = observed(claimed(), pod_gone=True, refused="exceeded quota: pods", refused_for=1.0, wanted=True)
    assert hindrance(seen) is Hindrance.REFUSED
    [back] = deeds(replace(seen, hindered_for=60.0))
    assert back.detail.startswith("AtCapacity: ")
    assert isinstance(deeds(replace(seen, hindered_for=59.0, refused_for=40.0))[0], CreatePod)


@pytest.mark.parametrize("well", [pod(), pending(), pending(("PodInitializing", ""))])
def test_an_attempt_that_is_on_its_way_keeps_it(well):
    assert hindrance(observed(claimed(), [well])) is None
    assert not any(
        isinstance(one, ReleaseRun) for one in decide(observed(claimed(), [well], wanted=True, hindered_for=1e6))
    )


@pytest.mark.parametrize(
    ("detail", "told", "stalled"),
    [
        ("ImagePullFailed: no such image", "CannotStart", "True"),
        ("Unschedulable: no node", "BackingOff", None),
        ("something else", "BackingOff", None),
    ],
)
def test_the_status_says_why_the_run_queues_again(detail, told, stalled):
    stored = run(attempt=1, delay=30.0, due_in=20.0, last=ended_attempt(1, AttemptEnd.COULD_NOT_START, detail))
    seen = observed(stored)
    assert (reason(seen), requeue_after(seen)) == (told, 20)
    conditions = new_status(seen).conditions
    assert "gave its place to another run; it queues again 30 s after that" in conditions["Finished"].message
    assert (conditions["Stalled"].status if "Stalled" in conditions else None) == stalled
