"""Pauses while the store is away: for as long as there is patience, and by a clock that the test moves."""

from __future__ import annotations

from perdure.store.postgres.opener import Backoff


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_pauses_grow_up_to_a_second() -> None:
    backoff = Backoff(None)
    pauses = [backoff.next() or 0.0 for _ in range(30)]
    assert all(0 < pause <= 1.0 for pause in pauses)
    assert pauses[0] < 0.1
    assert max(pauses[20:]) > 0.4


def test_patience_is_counted_from_the_beginning() -> None:
    clock = Clock()
    backoff = Backoff(10, clock)
    assert backoff.next() is not None
    clock.now += 9.9
    assert backoff.next() is not None
    clock.now += 0.1
    assert backoff.next() is None


def test_without_patience_there_is_one_try() -> None:
    assert Backoff(0.0, Clock()).next() is None
