"""The end of an attempt, as threads and tasks of the run come upon it at any moment."""

from __future__ import annotations

import asyncio
import threading

import pytest

import perdure
from perdure import step, workflow
from perdure.engine.branches.attempt import Attempt
from perdure.engine.branches.branch import Branch
from perdure.engine.branches.context import CURRENT
from perdure.engine.workflow_call import execute
from perdure.errors import Released
from perdure.testing import DurableRun
from tests.unit.engine.attempts import StoresAll, first_attempt

did: list[str] = []


@step
def act(name: str) -> str:
    did.append(name)
    return name


@workflow
def two_threads() -> list[str]:
    with perdure.ThreadPoolExecutor(2) as pool:
        return list(pool.map(act, ["quick", "slow"]))


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
    attempt = first_attempt()
    attempt.interrupt(Released("ended"))
    with pytest.raises(Released):
        asyncio.run(attempt.enter_async_step())
    assert not attempt.in_step


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

    attempt = first_attempt(StoresAll())
    main = threading.Thread(target=execute, args=(both.definition, attempt))  # type: ignore[attr-defined]
    main.start()
    assert inside.wait(10)
    attempt.interrupt(Released("ended"))
    go.set()
    for thread in (main, *threads):
        thread.join(10)
        assert not thread.is_alive()
