"""Threads that workflow code starts by itself call no steps, and count as outside until they are done."""

from __future__ import annotations

import _thread
import concurrent.futures
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from weakref import WeakSet

import pytest

from perdure.engine.branches.branch import Branch
from perdure.engine.branches.context import CURRENT, branch_here
from perdure.engine.tasks.loop import RunLoop
from perdure.engine.threads import thread_guards
from perdure.engine.threads.thread_guards import watch
from perdure.errors import StepCallError
from tests.harness.eventually import eventually
from tests.unit.engine.attempts import first_attempt


class Stand:
    """The main branch of an attempt whose threads are watched, and what its threads came to."""

    def __init__(self) -> None:
        self.attempt = first_attempt()
        watch(self.attempt)
        self.branch = Branch(self.attempt)
        self.go = threading.Event()
        self.came: list[str] = []

    def calls_a_step(self) -> None:
        """What a thread does: wait, and call a step."""
        assert self.go.wait(10)
        try:
            self.came.append("a plain call" if branch_here("charge") is None else "a call of the run")
        except StepCallError:
            self.came.append("refused")

    @property
    def outside(self) -> int:
        return len(self.attempt.scheduler.outside.out)


@pytest.fixture
def stand() -> Stand:
    return Stand()


@pytest.fixture
def here(stand: Stand) -> Iterator[None]:
    """The test is code of the workflow."""
    stand.branch.settle_here()
    token = CURRENT.set(stand.branch)
    yield
    CURRENT.reset(token)


def by_thread(call: Callable[[], object]) -> None:
    threading.Thread(target=call).start()


def by_bare_thread(call: Callable[[], object]) -> None:
    _thread.start_new_thread(call, ())


def by_pool(call: Callable[[], object]) -> None:
    pool = ThreadPoolExecutor(1)
    pool.submit(call)
    pool.shutdown(wait=False)


WAYS = pytest.mark.parametrize("start", [by_thread, by_bare_thread, by_pool])


@WAYS
@pytest.mark.usefixtures("here")
def test_a_thread_of_the_workflow_calls_no_step_and_is_outside_until_it_ends(stand: Stand, start: Any) -> None:
    start(stand.calls_a_step)
    assert stand.outside == 1
    stand.go.set()
    eventually(lambda: stand.outside == 0, 10)
    assert stand.came == ["refused"]


@WAYS
def test_one_of_other_code_is_not_marked(stand: Stand, start: Any) -> None:
    stand.go.set()
    start(stand.calls_a_step)
    eventually(lambda: stand.came, 10)
    assert (stand.came, stand.outside) == (["a plain call"], 0)


@WAYS
@pytest.mark.usefixtures("here")
def test_one_that_raises_is_no_longer_outside(
    stand: Stand, start: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)

    def breaks() -> None:
        assert stand.go.wait(10)
        raise LookupError("no such order")

    start(breaks)
    assert stand.outside == 1
    stand.go.set()
    eventually(lambda: stand.outside == 0, 10)


def test_a_thread_of_a_pool_serves_other_code_unmarked_afterwards(stand: Stand) -> None:
    stand.go.set()
    with ThreadPoolExecutor(1) as pool:
        token = CURRENT.set(stand.branch)
        try:
            pool.submit(stand.calls_a_step).result(10)
        finally:
            CURRENT.reset(token)
        pool.submit(stand.calls_a_step).result(10)
    assert stand.came == ["refused", "a plain call"]


@pytest.mark.usefixtures("here")
def test_a_call_that_is_cancelled_is_no_longer_outside(stand: Stand) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(stand.go.wait, 10)
        waits = pool.submit(stand.calls_a_step)
        assert stand.outside == 2
        assert waits.cancel()
        assert stand.outside == 1
        stand.go.set()
    eventually(lambda: stand.outside == 0, 10)
    assert stand.came == []


@pytest.mark.usefixtures("here")
def test_arguments_and_results_pass_through(stand: Stand) -> None:
    got: list[Any] = []
    over = threading.Event()

    def take(*args: int, **named: int) -> None:
        got.append((args, named))
        over.set()

    _thread.start_new_thread(take, (1, 2), {"three": 3})
    assert over.wait(10)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(divmod, 7, 2).result(10) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 7, 0).result(10)
    assert got == [((1, 2), {"three": 3})]
    eventually(lambda: stand.outside == 0, 10)


def test_watching_many_attempts_marks_once(stand: Stand) -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    watch(first_attempt())
    watch(stand.attempt)
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == (start, submit)
    assert vars(concurrent.futures._base)["time"].monotonic() > 0


def test_a_forked_process_has_marked_copies_of_what_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the child the fork calls this. Here it must not mark the attempts of other tests."""
    monkeypatch.setattr(thread_guards, "_attempts", WeakSet())
    loop = RunLoop()
    try:
        watched, in_a_loop, other = first_attempt(), first_attempt(loop=loop), first_attempt()
        watch(watched)
        watch(in_a_loop)
        thread_guards._forked()
        assert (watched.forked, in_a_loop.forked, loop.forked, other.forked) == (True, True, True, False)
    finally:
        loop.close()
