"""For any observed world at all: an answer, always the same, that does or tells something, and comes to rest."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings

from perdure_operator.decide.actions import WriteStatus
from perdure_operator.decide.observed import Observed
from tests.harness.scale import SCALE
from tests.unit.operator.decide import strategies
from tests.unit.operator.decide.builders import decide
from tests.unit.operator.decide.laws import LAWS


def it_answers_always_and_always_the_same(seen: Observed) -> None:
    first = decide(seen)
    assert decide(seen) == first
    assert decide(replace(seen, pods=list(seen.pods))) == first


def a_status_that_was_written_is_not_written_again(seen: Observed) -> None:
    for _ in range(3):
        statuses = [action.status for action in decide(seen) if isinstance(action, WriteStatus)]
        if not statuses:
            return
        seen = replace(seen, workflow=replace(seen.workflow, status=statuses[0]))
    raise AssertionError(f"status after status: {decide(seen)}")


@settings(max_examples=400 * SCALE, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.anything)
def test_whatever_is_observed(seen: Observed) -> None:
    it_answers_always_and_always_the_same(seen)
    a_status_that_was_written_is_not_written_again(seen)
    for law in LAWS:
        law(seen, decide(seen))
