"""A run at rest that has not called a recorded step: it does not repeat what it did, or waits for the outside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from perdure.engine.ends import verdict
from perdure.engine.ends.verdict import Verdict
from perdure.engine.order.journal import Journal, Recorded
from perdure.errors import NondeterminismError


class Stand:
    """An attempt that rests, and what became of it."""

    def __init__(self) -> None:
        self.heads = [Recorded("charge", 1, 3, 1, 100, "1", None), Recorded("mail", 2, 3, 1, 200, "1", None)]
        self.journal = Journal(self.heads)
        self.signal: BaseException | None = None
        self.over = threading.Event()
        self.run_name = "order-7"
        self.rests = True
        self.scheduler = SimpleNamespace(rests=lambda: self.rests, outside=(), begin_held=lambda: None)
        self.loop = SimpleNamespace(real_later=lambda _, say: self.later.append(say))
        self.later: list[Callable[[], None]] = []
        self.waited: list[str] = []

    def stop(self, error: BaseException) -> None:
        self.signal = error

    def waits(self, where: str) -> None:
        self.waited.append(where)

    @property
    def verdict(self) -> Verdict:
        attempt: Any = self
        return Verdict(attempt)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where the run waits for something that Perdure cannot see; it does not, once this is empty."""
    where = ["the workflow waits at flow.py:3, in flow"]
    monkeypatch.setattr(verdict, "unseen", lambda _: where[0] if where else None)
    return where


def test_a_run_whose_every_wait_is_for_something_of_ours_fails(outside: list[str]) -> None:
    outside.clear()
    stand = Stand()
    stand.verdict.at_rest(stand.heads[0])
    assert isinstance(stand.signal, NondeterminismError)
    assert "'charge'" in str(stand.signal)


def test_what_garbage_still_does_is_waited_for(outside: list[str]) -> None:
    outside.clear()
    stand = Stand()
    stand.rests = False
    stand.verdict.at_rest(stand.heads[0])
    assert stand.signal is None


def test_nothing_follows_where_it_waits_for_the_outside(outside: list[str], caplog: Any) -> None:
    stand = Stand()
    judge = stand.verdict
    judge.at_rest(stand.heads[0])
    judge.at_rest(stand.heads[0])
    assert stand.signal is None
    assert len(stand.later) == 1, "it is said once of one step"
    with caplog.at_level(logging.WARNING, logger="perdure"):
        stand.later[0]()
    assert "run 'order-7' has not called step 'charge' again" in caplog.text
    assert outside[0] in caplog.text
    assert stand.waited == [f"(waits outside: {outside[0]})"]


def test_it_is_said_anew_of_the_next_step(outside: list[str]) -> None:
    assert outside
    stand = Stand()
    judge = stand.verdict
    judge.at_rest(stand.heads[0])
    judge.at_rest(stand.heads[1])
    assert len(stand.later) == 2


@pytest.mark.parametrize("end", ["called", "delivered", "over", "stopped", "seen"])
def test_nothing_is_said_of_a_wait_that_has_ended(outside: list[str], caplog: Any, end: str) -> None:
    stand = Stand()
    stand.verdict.at_rest(stand.heads[0])
    match end:
        case "called":
            stand.heads[0].consumed = True
        case "delivered":
            stand.journal = Journal(stand.heads[1:])
        case "over":
            stand.over.set()
        case "stopped":
            stand.signal = ValueError()
        case _:
            outside.clear()
    stand.later[0]()
    assert stand.waited == []
    assert caplog.text == ""


def test_an_attempt_that_ends_is_not_judged(outside: list[str]) -> None:
    outside.clear()
    stand = Stand()
    before = stand.signal = ValueError("the end")
    stand.verdict.at_rest(stand.heads[0])
    assert stand.signal is before


def test_a_run_without_a_loop_is_looked_at_by_a_thread(outside: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict, "_SAID_AFTER", 0.0)
    stand = Stand()
    stand.loop = None  # type: ignore[assignment]
    said = threading.Event()
    stand.waits = lambda where: said.set()  # type: ignore[method-assign]
    stand.verdict.at_rest(stand.heads[0])
    assert said.wait(10)
    assert outside
