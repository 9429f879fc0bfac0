"""The loop that runs workflows: what belongs to a run is counted, numbered and timed by it; the rest is asyncio's."""

from __future__ import annotations

import asyncio
import concurrent.futures
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any

import pytest

from perdure.engine.branches.attempt import Attempt
from perdure.engine.branches.branch import Branch
from perdure.engine.branches.context import CURRENT
from perdure.engine.tasks.loop import BranchTask, RunLoop
from perdure.errors import Released, StepCallError
from tests.unit.engine.attempts import first_attempt


class Stand:
    """A loop, an attempt in it, and what the loop reported."""

    def __init__(self) -> None:
        self.loop = RunLoop()
        self.reported: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.reported.append(context))
        self.attempt: Attempt = first_attempt(loop=self.loop)

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run this as the attempt's workflow."""
        return self.loop.run_until_complete(self.loop.start_branch(main(), Branch(self.attempt)))

    @property
    def outside(self) -> int:
        return len(self.attempt.scheduler.outside.out)


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.loop.close()


def path() -> str:
    """Of the branch that calls this."""
    branch = CURRENT.get()
    assert isinstance(branch, Branch)
    return branch.path


async def named() -> str:
    await asyncio.sleep(0)
    return path()


def test_tasks_are_branches_numbered_where_they_are_created(stand: Stand) -> None:
    async def main() -> list[str]:
        tasks = [asyncio.create_task(named()) for _ in range(2)]
        found = [path(), *await asyncio.gather(*tasks, named()), await named(), await asyncio.wait_for(named(), 10)]
        assert stand.attempt.scheduler.branches == 1
        return found

    assert stand.run(main) == ["", "1", "2", "3", "", ""]


def test_as_completed_numbers_by_the_order_of_its_list_and_takes_no_set(stand: Stand) -> None:
    async def main() -> None:
        found: list[str] = []

        async def note(name: str) -> None:
            found.append(f"{name} is {path()}")

        for one in asyncio.as_completed([note(name) for name in "abcdef"]):
            await one
        assert sorted(found) == [f"{name} is {number}" for number, name in enumerate("abcdef", start=1)]
        coroutines = {note("g")}
        with pytest.raises(StepCallError, match="over a set of coroutines starts them in no fixed order"):
            next(iter(asyncio.as_completed(coroutines)))
        for left in coroutines:
            left.close()

    stand.run(main)


def test_time_is_the_runs_in_a_branch_and_the_loops_elsewhere(stand: Stand) -> None:
    async def main() -> float:
        assert stand.loop.time() == 0.0
        time.sleep(0.02)
        assert stand.loop.time() == 0.0, "it stands still between events"
        await asyncio.sleep(0.05)
        return stand.loop.time()

    assert stand.run(main) == pytest.approx(0.05)
    assert stand.loop.time() == pytest.approx(time.monotonic(), abs=5)
    assert stand.loop.real_time() == pytest.approx(time.monotonic(), abs=5)


def test_a_callback_counts_until_it_has_run_or_is_cancelled(stand: Stand) -> None:
    async def main() -> list[int]:
        scheduler = stand.attempt.scheduler
        seen = [scheduler.busy]
        stand.loop.call_soon(lambda: None)
        dropped = stand.loop.call_soon(lambda: None)
        seen.append(scheduler.busy)
        stand.loop.call_soon(lambda: None, context=Context())
        seen.append(scheduler.busy)
        dropped.cancel()
        await asyncio.sleep(0)
        seen.append(scheduler.busy)
        return seen

    assert stand.run(main) == [1, 3, 3, 1]


def test_a_cancelled_task_keeps_its_message(stand: Stand) -> None:
    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(3600))
        assert isinstance(task, BranchTask)
        await asyncio.sleep(0)
        task.cancel("too late")
        await asyncio.wait([task])
        assert (task.cancel_message, task.cancelled()) == ("too late", True)

    stand.run(main)


def test_sets_of_tasks_have_the_same_order_on_replay() -> None:
    async def main() -> list[int]:
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(3)]
        await asyncio.wait(tasks)
        return [hash(task) for task in tasks]

    hashes = []
    for _ in range(2):
        stand = Stand()
        hashes.append(stand.run(main))
        stand.loop.close()
    assert hashes[0] == hashes[1]


def test_a_file_that_is_watched_is_outside_until_it_is_not(stand: Stand) -> None:
    async def main() -> None:
        one, other = socket.socketpair()
        with one, other:
            read = asyncio.Event()
            stand.loop.add_reader(one, read.set)
            stand.loop.add_reader(one, read.set)
            assert stand.outside == 1
            other.send(b".")
            await read.wait()
            stand.loop.remove_reader(one)
            assert stand.outside == 1, "this callback may yet schedule others"
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert stand.outside == 0

    stand.run(main)


def test_a_future_of_another_executor_is_outside_until_it_ends(stand: Stand) -> None:
    async def main() -> int:
        given: concurrent.futures.Future[int] = concurrent.futures.Future()
        waits = asyncio.wrap_future(given)
        assert stand.outside == 1
        given.set_result(7)
        got = await waits
        assert stand.outside == 0
        return got

    assert stand.run(main) == 7


def test_a_generator_that_is_left_ends_in_a_branch_that_was_numbered_when_it_began(stand: Stand) -> None:
    ended: list[str] = []

    async def values() -> Any:
        try:
            yield path()
        finally:
            ended.append(path())

    async def main() -> str:
        left = values()
        await anext(left)
        after = asyncio.create_task(named())
        del left
        found = await after
        await asyncio.sleep(0.01)
        return found

    assert stand.run(main) == "2"
    assert ended == ["1"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_a_callback_that_exits_ends_nothing_and_is_reported(stand: Stand, error: BaseException) -> None:
    def exits() -> None:
        raise error

    async def main() -> str:
        stand.loop.call_soon(exits, context=Context())
        await asyncio.sleep(0.01)
        return "went on"

    assert stand.run(main) == "went on"
    assert [one["exception"] for one in stand.reported] == [error]


def test_the_end_of_an_attempt_is_no_error_to_report(stand: Stand) -> None:
    stand.loop.call_exception_handler({"message": "never retrieved", "exception": Released("moved")})
    assert stand.reported == []
    stand.loop.call_exception_handler({"message": "never retrieved", "exception": OSError("no disk")})
    assert len(stand.reported) == 1


def test_outside_of_runs_it_is_asyncios_loop(stand: Stand) -> None:
    async def main() -> bool:
        task = asyncio.create_task(asyncio.sleep(0.001))
        await task
        return isinstance(task, BranchTask)

    assert not stand.loop.run_until_complete(main())
    assert (stand.attempt.scheduler.busy, stand.attempt.tasks) == (0, set())


def test_a_timer_of_a_step_keeps_nothing_once_it_is_cancelled(stand: Stand) -> None:
    timer = stand.loop.call_later(3600, lambda: None)
    timer.cancel()
    assert timer._context is None  # type: ignore[attr-defined]


def test_another_thread_calls_in_the_loops_thread(stand: Stand) -> None:
    ran: list[bool] = []
    assert stand.loop.is_mine()

    async def main() -> None:
        over = asyncio.Event()

        def note() -> None:
            ran.append(stand.loop.is_mine() and CURRENT.get() is None)
            over.set()

        thread = threading.Thread(target=lambda: ran.append(stand.loop.is_mine()))
        thread.start()
        thread.join()
        thread = threading.Thread(target=stand.loop.call_in_loop, args=(note,))
        thread.start()
        await over.wait()
        thread.join()

    stand.loop.run_until_complete(main())
    assert ran == [False, True]


def test_nothing_is_called_in_a_loop_that_is_closed() -> None:
    loop = RunLoop()
    loop.close()
    loop.call_in_loop(pytest.fail)


class _ClosesAtTheLastMoment(RunLoop):
    """A loop that its owner closes after another thread has found it open."""

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:  # type: ignore[override]
        self.close()
        return super().call_soon_threadsafe(callback, *args, context=context)


def test_a_thread_that_tells_a_loop_while_that_closes_hears_nothing() -> None:
    told: list[str] = []
    loop = _ClosesAtTheLastMoment()
    # What the thread raised would be a warning of pytest's, which is an error.
    thread = threading.Thread(target=loop.call_in_loop, args=(told.append, "told"))
    thread.start()
    thread.join(10)
    assert loop.is_closed()
    assert told == []
