"""The waits of a branch's thread: the run rests meanwhile, and what ends a wait counts the branch as running first."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perdure.engine.branches.attempt import Attempt
from perdure.engine.branches.branch import Branch
from perdure.engine.branches.context import CURRENT
from perdure.engine.threads.naps import BranchFuture, Nap, RunTime, branch_of_thread
from perdure.errors import Released
from tests.harness.eventually import eventually
from tests.unit.engine.attempts import first_attempt


class Stand:
    """An attempt on a clock that stands where it is put, and threads of its branches."""

    def __init__(self) -> None:
        self.clock = 0
        """Nanoseconds."""
        self.attempt: Attempt = first_attempt(clock=lambda: self.clock)
        self.main = Branch(self.attempt)
        # While this branch runs, nothing is delivered.
        self.other = Branch(self.attempt, "9")
        self.attempt.scheduler.resume_thread(self.other)
        self.threads: list[threading.Thread] = []

    def in_branch(self, call: Callable[[], Any], branch: Branch | None = None) -> list[Any]:
        """Call this in a thread of the main branch, or of another; the list gets what came of it."""
        branch = branch or self.main
        came: list[Any] = []
        self.attempt.scheduler.resume_thread(branch)

        def run() -> None:
            branch.settle_here()
            CURRENT.set(branch)
            try:
                came.append(call())
            except BaseException as error:
                came.append(error)

        thread = threading.Thread(target=run)
        self.threads.append(thread)
        thread.start()
        return came

    def rests(self, number: int = 1) -> None:
        """Wait until so many threads wait."""
        eventually(lambda: len(self.attempt.scheduler.naps) == number, 10)

    def passes(self, seconds: int) -> None:
        """Let the run rest, and its clock come to this reading."""
        self.attempt.scheduler.rest_thread(self.other)
        self.clock = seconds * 10**9
        self.attempt.scheduler.pump()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.attempt.interrupt(Released("the test is over"))
    made.join()


def test_the_branch_rests_while_it_waits_and_runs_before_its_thread_wakes(stand: Stand) -> None:
    nap = Nap(stand.main)
    stand.in_branch(lambda: nap.rest(None))
    stand.rests()
    running = stand.attempt.scheduler.running
    assert stand.main not in running
    with stand.attempt.scheduler.lock:
        nap.wake()
        assert stand.main in running
    stand.join()


def test_one_that_was_woken_before_it_waits_does_not_wait(stand: Stand) -> None:
    nap = Nap(stand.main)
    nap.wake()
    nap.wake()
    assert stand.in_branch(lambda: nap.rest(None)) in ([], [None])
    stand.join()
    assert not stand.attempt.scheduler.naps


def test_one_that_begins_after_the_end_does_not_wait(stand: Stand) -> None:
    stand.attempt.interrupt(Released("moved"))
    came = stand.in_branch(lambda: Nap(stand.main).rest(None))
    stand.join()
    assert came == [None]


def test_the_end_of_the_attempt_ends_it(stand: Stand) -> None:
    came = stand.in_branch(lambda: Nap(stand.main).rest(3600))
    stand.rests()
    stand.attempt.interrupt(Released("moved"))
    stand.join()
    assert came == [None]


def test_its_limit_is_on_the_runs_clock(stand: Stand) -> None:
    came = stand.in_branch(lambda: Nap(stand.main).rest(3600))
    stand.rests()
    stand.passes(3599)
    stand.rests()
    assert came == []
    stand.passes(3600)
    stand.join()
    assert came == [None]
    assert stand.attempt.scheduler.now == pytest.approx(3600)


def test_a_wait_that_was_woken_leaves_no_alarm_behind(stand: Stand) -> None:
    nap = Nap(stand.main)
    stand.in_branch(lambda: nap.rest(3600))
    stand.rests()
    nap.wake()
    stand.join()
    assert not stand.attempt.scheduler._timers


def test_a_thread_knows_its_branch_in_its_own_code_alone(stand: Stand) -> None:
    assert branch_of_thread() is None
    came = stand.in_branch(branch_of_thread)
    stand.join()
    assert came == [stand.main]
    token = CURRENT.set(stand.main)
    try:
        assert branch_of_thread() is None, "another thread has a copy of the context"
    finally:
        CURRENT.reset(token)


def test_a_result_is_waited_for_in_the_runs_order(stand: Stand) -> None:
    future = BranchFuture[int](stand.main.child())
    came = stand.in_branch(future.result)
    stand.rests()
    future.deliver(7, None)
    stand.join()
    assert came == [7]


def test_a_result_that_is_there_is_not_waited_for(stand: Stand) -> None:
    future = BranchFuture[int](stand.main.child())
    future.deliver(0, OSError("no disk"))
    came = stand.in_branch(future.exception)
    stand.join()
    assert [str(one) for one in came] == ["no disk"]


def test_the_limit_of_a_result_is_on_the_runs_clock(stand: Stand) -> None:
    future = BranchFuture[int](stand.main.child())
    came = stand.in_branch(lambda: future.result(60))
    stand.rests()
    stand.passes(60)
    stand.join()
    assert isinstance(came[0], TimeoutError)
    assert future._sleepers == []


def test_the_end_of_the_attempt_ends_the_wait_for_a_result(stand: Stand) -> None:
    future = BranchFuture[int](stand.main.child())
    came = stand.in_branch(future.result)
    stand.rests()
    stand.attempt.interrupt(Released("moved"))
    stand.join()
    assert came == [stand.attempt.signal]


def test_a_cancelled_call_wakes_who_waits_for_it(stand: Stand) -> None:
    future = BranchFuture[int](stand.main.child())
    came = stand.in_branch(future.result)
    stand.rests()
    assert future.cancel()
    stand.join()
    assert isinstance(came[0], concurrent.futures.CancelledError)


@pytest.mark.parametrize("all_of_them", [False, True])
def test_wait_of_concurrent_futures_waits_in_the_runs_order(stand: Stand, all_of_them: bool) -> None:
    one, other = BranchFuture[int](stand.main.child()), BranchFuture[int](stand.main.child())
    when = concurrent.futures.ALL_COMPLETED if all_of_them else concurrent.futures.FIRST_COMPLETED
    came = stand.in_branch(lambda: concurrent.futures.wait([one, other], return_when=when))
    stand.rests()
    one.deliver(1, None)
    if all_of_them:
        assert len(stand.attempt.scheduler.naps) == 1
        other.deliver(2, None)
    stand.join()
    assert came[0].done == ({one, other} if all_of_them else {one})


def test_a_thread_outside_of_the_run_waits_as_ever(stand: Stand) -> None:
    future = BranchFuture[int](stand.main.child())
    with pytest.raises(TimeoutError):
        future.result(0.01)
    assert concurrent.futures.wait([future], timeout=0.01).not_done == {future}
    future.deliver(7, None)
    assert future.result(0) == 7


def test_futures_have_the_same_order_in_a_set_on_replay(stand: Stand) -> None:
    again = first_attempt(number=2)
    hashes = [[hash(BranchFuture[int](Branch(one, "1"))) for _ in range(3)] for one in (stand.attempt, again)]
    assert hashes[0] == hashes[1]
    one, other = BranchFuture[int](stand.main), BranchFuture[int](stand.main)
    assert one == one  # noqa: PLR0124
    assert one != other


def test_time_in_a_branch_is_the_runs_and_elsewhere_the_systems(stand: Stand) -> None:
    stand.attempt.scheduler.now = 12.5
    came = stand.in_branch(RunTime().monotonic)
    stand.join()
    assert came == [12.5]
    assert RunTime().monotonic() == pytest.approx(time.monotonic(), abs=5)
    assert RunTime().sleep is time.sleep
