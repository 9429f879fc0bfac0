"""What follows from what was observed: ends, due times, and what the operator's policy says of a Workflow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perdure_operator.decide.observed import Condition, Key, PodPhase, Policy
from tests.unit.operator.decide.builders import LIMITS, NOW, ago, claimed, over, pod, run, spec, started, workflow


def test_a_key_is_one_word() -> None:
    assert str(Key("shop", "transfer-17")) == "shop/transfer-17"


@pytest.mark.parametrize(("value", "says"), [("True", True), ("False", False), ("Unknown", False)])
def test_a_status_says_what_is_true(value: str, says: bool) -> None:
    status = started(conditions={"Finished": Condition("Finished", value, "Succeeded", "", NOW, 1)})
    assert status.says("Finished") is status.finished is says
    assert not status.says("Stalled")


def test_only_the_barred_namespace_is_barred() -> None:
    policy = Policy(barred_namespace="perdure-system")
    assert policy.bars(Key("perdure-system", "a"))
    assert not policy.bars(Key("shop", "a"))
    assert not Policy().bars(Key("shop", "a"))


def test_a_default_deadline_is_for_those_who_have_none() -> None:
    policy = Policy(active_deadline_seconds=60)
    for given, found in ((None, 60), (5, 5)):
        applied = policy.applied(workflow(spec=spec(active_deadline_seconds=given)))
        assert applied.spec is not None
        assert applied.spec.active_deadline_seconds == found
    plain = workflow()
    assert Policy().applied(plain) is plain
    broken = replace(plain, spec=None)
    assert policy.applied(broken) is broken


def test_a_pod_is_over_once_its_container_has_ended() -> None:
    assert over().over
    assert not pod().over
    assert not pod(phase=PodPhase.PENDING, created=ago(5)).over


def test_a_run_is_due_once_its_delay_is_over_whatever_the_servers_clock_says() -> None:
    assert run(due_in=-3.0, delay=5.0).until_due == -3.0
    assert run(due_in=2.0, delay=5.0).until_due == 2.0
    assert run(due_in=86_400.0, delay=5.0).until_due == 5.0


@pytest.mark.parametrize(("cancel", "left", "may"), [(True, 3.0, True), (True, 0.0, False), (True, None, False)])
def test_a_cancelled_run_may_clean_up_while_time_is_left(cancel: bool, left: float | None, may: bool) -> None:
    assert claimed(limits=replace(LIMITS, cancel=cancel), cleanup_left=left).may_clean_up is may
    assert not claimed(cleanup_left=left).may_clean_up
