"""Plans of each kind: what the status is to say, and when to look again."""

from __future__ import annotations

import pytest

from perdure_operator.decide.plan import Kind, Plan, Reason, Situation, going, resting, stalled


@pytest.mark.parametrize(("make", "kind"), [(going, Kind.GOING), (resting, Kind.RESTING), (stalled, Kind.STALLED)])
def test_a_plan_tells_its_situation_and_does_nothing(make: object, kind: Kind) -> None:
    made = make(Reason.PENDING, "it waits", 5.0)  # type: ignore[operator]
    assert made == Plan(Situation(kind, Reason.PENDING, "it waits"), first=(), then=(), requeue_after=5.0)
