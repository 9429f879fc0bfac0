"""The end of an attempt and of its loop, as threads of the run come upon it: at any moment, and without a sound."""

from __future__ import annotations

import asyncio
import threading
from typing import Any
from uuid import UUID

import pytest

import perdure
from perdure import step, workflow
from perdure.claimed_attempt import ClaimedAttempt
from perdure.engine.branches.attempt import Attempt
from perdure.engine.branches.branch import Branch
from perdure.engine.branches.context import CURRENT
from perdure.engine.tasks.loop import RunLoop
from perdure.engine.workflow_call import execute
from perdure.errors import Released
from perdure.names import RunId, Token
from perdure.store.attempts.checkpoint import Answer
from perdure.testing import DurableRun

did: list[str] = []


@step
def act(name: str) -> str:
    did.append(name)
    return name


@workflow
def two_threads() -> list[str]:
    with perdure.ThreadPoolExecutor(2) as pool:
        return list(pool.map(act, ["quick", "slow"]))


def attempt_with(committer: Any) -> Attempt:
    """The first attempt of a run."""
    one = UUID(int=1)
    claimed = ClaimedAttempt(run_id=RunId(one), id="run", token=Token(one), number=1, entrypoint="m:f", input="{}")
    return Attempt(claimed, [], committer)


def test_a_thread_that_stands_before_a_body_when_the_attempt_ends_does_not_begin_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has seen the attempt alive, and was slow to go on: another attempt may have run that step since."""
    did.clear()
    late: list[threading.Thread] = []
    stands = threading.Event()
    enter = Attempt.enter_step

    def enter_late(attempt: Attempt) -> None:
        branch = CURRENT.get()
        assert isinstance(branch, Branch)
        if attempt.number == 1 and branch.path == "2":
            late.append(threading.current_thread())
            stands.set()
            attempt.interrupted.wait()
        assert stands.wait(10)
        enter(attempt)

    monkeypatch.setattr(Attempt, "enter_step", enter_late)
    run = DurableRun(two_threads)
    assert run.attempt(kill_after=1).executed == ["1/act"]
    assert run.result() == ["quick", "slow"]
    late[0].join(10)
    assert not late[0].is_alive()
    assert did == ["quick", "slow"]


def test_neither_does_a_task() -> None:
    attempt = attempt_with(None)
    attempt.interrupt(Released("ended"))
    with pytest.raises(Released):
        asyncio.run(attempt.enter_async_step())
    assert not attempt.in_step


class _StoresAll:
    """A committer."""

    def commit(self, *_: object) -> Answer:
        return Answer.DONE


def test_a_thread_whose_body_outlasts_the_attempt_goes_on_to_its_end() -> None:
    """Nothing is delivered any more: it would wait for the turn of its outcome for ever."""
    inside, go = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    @step
    def slow(name: str) -> str:
        threads.append(threading.current_thread())
        if name == "last":
            inside.set()
            assert go.wait(10)
        return name

    @workflow
    def both() -> list[str]:
        with perdure.ThreadPoolExecutor(2) as pool:
            return list(pool.map(slow, ["first", "last"]))

    attempt = attempt_with(_StoresAll())
    main = threading.Thread(target=execute, args=(both.definition, attempt))  # type: ignore[attr-defined]
    main.start()
    assert inside.wait(10)
    attempt.interrupt(Released("ended"))
    go.set()
    for thread in (main, *threads):
        thread.join(10)
        assert not thread.is_alive()


class _ClosesAtTheLastMoment(RunLoop):
    """A loop that its owner closes after another thread has found it open."""

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        self.close()
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_a_thread_that_tells_a_loop_while_that_closes_hears_nothing() -> None:
    loop = _ClosesAtTheLastMoment()
    # What the thread raised would be a warning of pytest's, which is an error.
    thread = threading.Thread(target=loop.call_in_loop, args=(did.append, "told"))
    thread.start()
    thread.join(10)
    assert loop.is_closed()
    assert "told" not in did
