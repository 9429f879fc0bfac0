"""When a heart beats, on a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from perdure.errors import StoreUnavailable
from perdure.pod import Progress, Verdict
from perdure.pod.heartbeat import Heartbeat


class Calls:
    """In place of the thread: calls that the test answers."""

    def __init__(self) -> None:
        self.made: list[Future[Any]] = []

    def submit(self, call: Callable[[Any], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self.made.append(future)
        return future

    def answer(self, **flags: bool) -> None:
        self.made[-1].set_result(Verdict(**flags))

    def fail(self, error: Exception) -> None:
        self.made[-1].set_exception(error)


class Heart:
    def __init__(self) -> None:
        self.calls, self.log = Calls(), list[str]()
        self._heartbeat = Heartbeat(self.calls, 1.0, 100.0, self.log.append)  # type: ignore[arg-type]
        self.due = self._heartbeat.due

    def at(self, now: float) -> Verdict | None:
        return self._heartbeat.beat(now, Progress)


@pytest.fixture
def heart() -> Heart:
    return Heart()


def test_the_first_beat_is_one_interval_after_the_begin(heart: Heart):
    assert heart.due() == 101.0
    heart.at(100.9)
    assert not heart.calls.made
    heart.at(101.0)
    assert len(heart.calls.made) == 1


def test_one_beat_is_in_flight_at_a_time_and_its_answer_comes_once(heart: Heart):
    heart.at(101.0)
    assert heart.due() is None
    assert heart.at(105.0) is None
    assert len(heart.calls.made) == 1
    heart.calls.answer(cancel=True)
    assert heart.at(105.1) == Verdict(cancel=True)
    assert heart.at(105.2) is None


def test_the_schedule_does_not_drift_and_missed_beats_are_not_made_up_for(heart: Heart):
    heart.at(101.3)
    heart.calls.answer()
    heart.at(101.4)
    assert heart.due() == 102.0
    heart.at(102.0)
    heart.calls.answer()
    heart.at(104.5)
    assert heart.due() == 105.0
    assert len(heart.calls.made) == 2


def test_an_answer_that_comes_at_once_is_followed_by_a_beat_an_interval_later(heart: Heart):
    heart.at(101.0)
    heart.calls.answer()
    heart.at(101.0)
    assert heart.due() == 102.0


def test_failures_are_tried_again_with_growing_pauses_of_a_second_at_most(heart: Heart):
    now, pauses = 101.0, []
    for _ in range(10):
        heart.at(now)
        heart.calls.fail(StoreUnavailable("away"))
        assert heart.at(now) is None
        due = heart.due()
        assert due is not None
        pauses.append(due - now)
        now = due
    assert len(heart.calls.made) == 10
    assert pauses[0] <= 0.05
    assert 0.85 <= pauses[-1] <= 1.0
    assert pauses[3] > pauses[1]


def test_an_outage_is_two_lines_in_the_log(heart: Heart):
    now = 101.0
    for _ in range(3):
        heart.at(now)
        heart.calls.fail(StoreUnavailable("no route"))
        heart.at(now)
        now += 2
    heart.at(now)
    heart.calls.answer()
    heart.at(now)
    assert heart.log == ["a heartbeat failed, trying again: no route", "the store answers again"]


def test_another_error_ends_nothing_either_and_is_named(heart: Heart):
    heart.at(101.0)
    heart.calls.fail(RuntimeError("a bug"))
    assert heart.at(101.0) is None
    assert heart.due() is not None
    assert heart.log == ["a heartbeat failed, trying again: RuntimeError: a bug"]
