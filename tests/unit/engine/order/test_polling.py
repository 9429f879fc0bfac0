"""A run that never rests is taken to poll after very many rounds of nothing but that, and never before."""

from __future__ import annotations

from perdure.engine.order.polling import Polling


def rounds(polling: Polling, number: int, tasks: int) -> bool:
    """Rounds in which each of so many tasks yields once; whether it was taken to poll."""
    polls = False
    for _ in range(number * tasks):
        polling.yields += 1
        polls = polling.turned(tasks) or polls
    return polls


def test_rounds_count_and_not_callbacks() -> None:
    assert not rounds(Polling(), 10_000, 3)
    assert rounds(Polling(), 10_001, 3)
    assert not rounds(Polling(), 20, 1000)


def test_anything_else_begins_anew() -> None:
    polling = Polling()
    assert not rounds(polling, 9_000, 1)
    polling.yields = 0
    assert not rounds(polling, 9_000, 1)
    polling.rested()
    assert not rounds(polling, 9_000, 1)


def test_callbacks_of_any_kind_come_to_an_end_too() -> None:
    polling = Polling()
    assert [n for n in range(1, 1_000_003) if polling.turned(1)] == [1_000_001]
