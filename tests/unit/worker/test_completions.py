"""Ends of runs are written in their order, many together; locked, refused and unanswered ones hold up no others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest

from perdure.attempt_results import Failed, RunEnd, Succeeded
from perdure.errors import StoreError, StoreUnavailable
from perdure.names import Claim, RunId
from perdure.store.attempts.checkpoint import Answer
from perdure.store.workers.completions import Completion, RowLocked
from perdure.worker.completions import CompletionWriter
from tests.harness.eventually import eventually

DONE = Succeeded("1")
TOO_LARGE = Succeeded('"too large"')


class Store:
    """A store that answers as the test says, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[list[Completion]] = []
        self.answer: Callable[[Sequence[Completion]], list[Answer]] = lambda asked: [Answer.DONE] * len(asked)
        self.forced: list[Completion] = []
        self.gate = threading.Event()
        self.gate.set()
        self.closed = threading.Event()

    def write(self, endings: Sequence[Completion]) -> list[Answer]:
        assert self.gate.wait(10)
        self.asked.append(list(endings))
        return self.answer(endings)

    def write_patiently(self, ending: Completion, *, waited: float) -> Answer:
        assert waited > 0
        self.forced.append(ending)
        self.answer = lambda asked: [Answer.DONE] * len(asked)
        return Answer.DONE

    def close(self) -> None:
        self.closed.set()


class Breaker:
    """Ends who keeps rows locked, at once."""

    def submit(self, _key: object, work: Callable[[], None]) -> None:
        work()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def writer(store: Store) -> Iterator[CompletionWriter]:
    died: list[BaseException] = []
    made: Any = CompletionWriter
    writing = made(store, 0.1, Breaker(), died.append)
    yield writing
    writing.close(10)
    assert died == []


class Settled:
    """What each ending came to."""

    def __init__(self) -> None:
        self.answers: dict[RunId, Answer | None] = {}

    def of(self, ending: Completion) -> Callable[[Answer | None], None]:
        return lambda answer: self.answers.__setitem__(ending.run, answer)


def ending(end: RunEnd = DONE) -> Completion:
    return Completion(RunId(uuid4()), Claim(uuid4()), end)


def written(writer: CompletionWriter, endings: list[Completion]) -> list[Answer | None]:
    settled = Settled()
    for one in endings:
        writer.submit(one, settled.of(one))
    eventually(lambda: len(settled.answers) == len(endings))
    return [settled.answers[one.run] for one in endings]


def test_what_comes_meanwhile_goes_together_in_its_order(writer: CompletionWriter, store: Store) -> None:
    store.gate.clear()
    endings, settled = [ending() for _ in range(10)], Settled()
    for one in endings:
        writer.submit(one, settled.of(one))
    store.gate.set()
    eventually(lambda: len(settled.answers) == 10)
    assert [one for batch in store.asked for one in batch] == endings
    assert len(store.asked) <= 2
    assert set(settled.answers.values()) == {Answer.DONE}


def test_each_gets_its_own_answer(writer: CompletionWriter, store: Store) -> None:
    lost = ending()
    store.answer = lambda asked: [Answer.SUPERSEDED if one is lost else Answer.DONE for one in asked]
    assert written(writer, [ending(), lost, ending()]) == [Answer.DONE, Answer.SUPERSEDED, Answer.DONE]


def test_a_locked_row_waits_alone_and_its_holder_is_ended_after_a_lease(writer: CompletionWriter, store: Store) -> None:
    locked = ending()
    store.answer = lambda asked: [Answer.LOCKED if one is locked else Answer.DONE for one in asked]
    settled, other = Settled(), ending()
    for one in (locked, other):
        writer.submit(one, settled.of(one))
    eventually(lambda: other.run in settled.answers)
    eventually(lambda: locked.run in settled.answers)
    assert store.forced == [locked]
    assert settled.answers[locked.run] is Answer.DONE


def test_a_lock_elsewhere_has_each_written_alone(writer: CompletionWriter, store: Store) -> None:
    def answer(asked: Sequence[Completion]) -> list[Answer]:
        if len(asked) > 1:
            raise RowLocked("of an attempt")
        return [Answer.DONE]

    store.answer = answer
    store.gate.clear()
    endings, settled = [ending() for _ in range(3)], Settled()
    for one in endings:
        writer.submit(one, settled.of(one))
    store.gate.set()
    eventually(lambda: len(settled.answers) == 3)
    assert set(settled.answers.values()) == {Answer.DONE}


def test_a_refused_result_fails_its_run_and_no_other(writer: CompletionWriter, store: Store) -> None:
    bad = ending(TOO_LARGE)

    def answer(asked: Sequence[Completion]) -> list[Answer]:
        if any(one.end == TOO_LARGE for one in asked):
            raise StoreError("the store does not take the run's outcome")
        return [Answer.DONE] * len(asked)

    store.answer = answer
    assert written(writer, [ending(), bad, ending()]) == [Answer.DONE] * 3
    [failed] = [one.end for batch in store.asked for one in batch if one.run == bad.run and one.end != TOO_LARGE]
    assert isinstance(failed, Failed)
    assert "does not take the run's outcome" in failed.error


def test_what_is_refused_for_good_is_told(
    writer: CompletionWriter, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(_: Sequence[Completion]) -> list[Answer]:
        raise StoreError("no")

    store.answer = answer
    one = ending(Failed("{}"))
    assert written(writer, [one]) == [None]
    assert f"run {one.run} has ended, and the store does not take it: no" in caplog.text


def test_a_store_that_is_away_is_asked_again(writer: CompletionWriter, store: Store) -> None:
    failures = [StoreUnavailable("away")] * 3

    def answer(asked: Sequence[Completion]) -> list[Answer]:
        if failures:
            raise failures.pop()
        return [Answer.DONE] * len(asked)

    store.answer = answer
    assert written(writer, [ending()]) == [Answer.DONE]
    assert len(store.asked) == 4


def test_at_the_end_one_try_has_to_do(writer: CompletionWriter, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def answer(_: Sequence[Completion]) -> list[Answer]:
        raise StoreUnavailable("away")

    caplog.set_level(logging.ERROR)
    store.answer = answer
    settled, one = Settled(), ending()
    writer.submit(one, settled.of(one))
    eventually(lambda: store.asked)
    writer.close(10)
    assert settled.answers == {one.run: None}
    assert "their ends cannot be stored: away" in caplog.text
    assert store.closed.is_set()


def test_without_an_ending_there_is_no_thread(writer: CompletionWriter, store: Store) -> None:
    writer.close(1)
    assert not store.closed.is_set()
