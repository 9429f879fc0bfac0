"""How long a count of steps is good, and for whom."""

from __future__ import annotations

from uuid import UUID

from perdure.names import Claim
from perdure_operator.store.step_counts import GOOD_FOR, StepCounts

RUN, OTHER = UUID(int=1), UUID(int=2)
CLAIM, NEXT = Claim(UUID(int=11)), Claim(UUID(int=12))
MANY = 1_000_000


def test_a_count_is_good_for_as_long_as_there_are_steps_and_only_while_the_run_is_held_as_it_was() -> None:
    now = [0.0]
    counts = StepCounts(lambda: now[0])
    assert counts.good([RUN]) == []
    counts.saw(RUN, CLAIM, MANY)
    counts.saw(OTHER, CLAIM, 0)
    assert counts.good([RUN, OTHER]) == [(RUN, CLAIM, MANY)]
    for _ in range(25):
        now[0] += 1
        counts.saw(RUN, CLAIM, MANY)  # as it was asked not to count
    assert counts.good([RUN]) == [(RUN, CLAIM, MANY)]
    now[0] = MANY * GOOD_FOR
    assert counts.good([RUN]) == []
    counts.saw(RUN, CLAIM, MANY)  # counted, and none came
    assert counts.good([RUN]) == [(RUN, CLAIM, MANY)]
    counts.saw(RUN, NEXT, MANY + 1)
    assert counts.good([RUN]) == [(RUN, NEXT, MANY + 1)]
    counts.saw(RUN, None, MANY + 1)
    assert counts.good([RUN]) == []
    counts.forget(OTHER)
    assert len(counts) == 0
