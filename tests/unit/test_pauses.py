"""Pauses before what has failed is tried again: they grow to their longest, and chance takes no more than it may."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from perdure import Retry
from perdure.pauses import Pauses


def test_they_double_up_to_the_longest() -> None:
    pauses = Pauses(0.1, 30.0, jitter=0.0)
    assert [pauses.after(failures) for failures in range(1, 5)] == [0.1, 0.2, 0.4, 0.8]
    assert [pauses.after(failures) for failures in (9, 10, 100, 100_000)] == [25.6, 30.0, 30.0, 30.0]


@given(failures=st.integers(1, 10_000), jitter=st.floats(0.0, 1.0))
def test_chance_takes_away_a_share_and_adds_nothing(failures: int, jitter: float) -> None:
    whole = Pauses(0.5, 60.0, jitter=0.0).after(failures)
    cut = Pauses(0.5, 60.0, jitter=jitter).after(failures)
    assert whole * (1 - jitter) <= cut <= whole


def test_many_who_failed_together_do_not_come_back_together() -> None:
    assert len({Pauses(1.0, 1.0).after(1) for _ in range(100)}) > 90


def test_a_step_waits_as_its_retry_says() -> None:
    retry = Retry(delay=0.5, max_delay=4.0, factor=3.0, jitter=0.0)
    assert list(map(retry.pause, itertools.chain(range(1, 5), [5000]))) == [0.5, 1.5, 4.0, 4.0, 4.0]
