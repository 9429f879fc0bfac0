"""What is outside holds replay until it has had its time."""

from __future__ import annotations

import pytest

from perdure.engine.order.outside import Outside


def test_it_counts_each_thing() -> None:
    outside = Outside()
    one, other = outside.open(None), outside.open((0.0, 0))
    outside.close(one)
    outside.close(one)
    assert outside
    outside.close(other)
    assert not outside


def test_an_event_waits_until_each_has_had_the_time_before_it() -> None:
    outside = Outside()
    outside.open((1.0, 5_000_000_000))
    late = outside.open((2.5, 5_000_000_000))
    # 3 s of the clock after the first was handed out, and 1 s of that is over.
    assert outside.hold(4.0, 6_000_000_000) == pytest.approx(2.0)
    assert outside.hold(1.5, 6_000_000_000) == 0.0
    outside.close(late)
    assert outside.hold(4.0, 8_000_000_000) == 0.0


def test_it_was_not_out_before_the_attempt_of_the_event_began() -> None:
    outside = Outside()
    outside.open((1.0, 5_000_000_000))
    # A day in which nobody ran, and then 3 s of that attempt.
    assert outside.hold(86_403.0, 6_000_000_000, began=86_400.0) == pytest.approx(2.0)
    assert outside.hold(86_399.0, 6_000_000_000, began=86_400.0) == 0.0


def test_what_no_task_waits_for_holds_up_nothing() -> None:
    outside = Outside()
    outside.open(None)
    assert outside.hold(100.0, 0) == 0.0
