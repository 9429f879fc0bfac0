"""Checkpoints that a loop waits for a moment only: each is settled once, by a thread that is kept for the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from perdure.errors import StoreUnavailable
from perdure.store.attempts.checkpoint import Answer, Checkpoint
from perdure.store.attempts.inline_committer import InlineCommit, InlineCommitter
from tests.harness.eventually import eventually

CHECKPOINT = Checkpoint(b"run", b"token", "charge", 1, "charge", 1, 0, 10, "1", None)


class Committer:
    """A committer whose answers the test gives."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.answer: Answer | Exception = Answer.DONE
        self.locked = False
        self.threads: list[str] = []

    def commit(self, _: Checkpoint, given_up: Callable[[], bool], note_lock: Callable[[], None]) -> Answer:
        self.threads.append(str(threading.get_ident()))
        if self.locked:
            note_lock()
        while not self.gate.wait(0.01):
            if given_up():
                return Answer.SUPERSEDED
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def committer() -> Committer:
    return Committer()


@pytest.fixture
def inline(committer: Committer) -> InlineCommitter:
    died: list[BaseException] = []
    made: Any = InlineCommitter(committer, died.append)  # type: ignore[arg-type]
    assert died == []
    return made


def never() -> bool:
    return False


def test_what_is_settled_in_time_is_the_answer(inline: InlineCommitter, committer: Committer) -> None:
    committer.gate.set()
    commit = inline.start(CHECKPOINT, never)
    assert commit.wait(10) is Answer.DONE
    assert commit.wait(0) is Answer.DONE
    assert not commit.locked


def test_what_is_not_calls_back_later(inline: InlineCommitter, committer: Committer) -> None:
    commit = inline.start(CHECKPOINT, never)
    assert commit.wait(0.01) is None
    called = threading.Event()
    commit.then(called.set)
    assert not called.is_set()
    committer.gate.set()
    assert called.wait(10)
    assert commit.wait(0) is Answer.DONE


def test_a_callback_for_what_is_settled_is_called_at_once() -> None:
    commit = InlineCommit(CHECKPOINT, never)
    commit.settle(Answer.SUPERSEDED)
    called: list[int] = []
    commit.then(lambda: called.append(threading.get_ident()))
    assert called == [threading.get_ident()]


def test_an_error_of_the_committer_reaches_who_waits(inline: InlineCommitter, committer: Committer) -> None:
    committer.answer = RuntimeError("no memory")
    committer.gate.set()
    settled = inline.start(CHECKPOINT, never).wait(10)
    assert isinstance(settled, StoreUnavailable)
    assert "'charge'" in str(settled)
    assert "no memory" in str(settled)


def test_who_gives_up_and_a_lock_are_known_on_both_sides(inline: InlineCommitter, committer: Committer) -> None:
    gone = threading.Event()
    committer.locked = True
    commit = inline.start(CHECKPOINT, gone.is_set)
    eventually(lambda: commit.locked)
    gone.set()
    assert commit.wait(10) is Answer.SUPERSEDED


def test_a_thread_serves_one_after_the_other_and_no_more_than_a_few_are_kept(
    inline: InlineCommitter, committer: Committer
) -> None:
    committer.gate.set()
    for _ in range(20):
        assert inline.start(CHECKPOINT, never).wait(10) is Answer.DONE
        eventually(lambda: len(inline._idle) == 1)
    assert len(set(committer.threads)) == 1
    committer.gate.clear()
    commits = [inline.start(CHECKPOINT, never) for _ in range(10)]
    committer.gate.set()
    assert {commit.wait(10) for commit in commits} == {Answer.DONE}
    eventually(lambda: len(inline._idle) == 4)
