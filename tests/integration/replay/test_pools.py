"""A pool of threads in a workflow, in all the ways in which one is used, killed wherever it can die."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import perdure
from perdure.errors import StepCallError
from perdure.testing import DurableRun, kills


@perdure.step
def double(value: int) -> int:
    return 2 * value


@perdure.step
def slow(value: int, seconds: float = 0.02) -> int:
    time.sleep(seconds)
    return value


@perdure.step
def refuse(value: int) -> int:
    raise ValueError(value)


@perdure.workflow
def map_then_step() -> int:
    with perdure.ThreadPoolExecutor(2) as pool:
        doubled = list(pool.map(double, [1, 2]))
    return double(sum(doubled))


@perdure.workflow
def submit_then_shutdown() -> int:
    pool = perdure.ThreadPoolExecutor(2)
    futures = [pool.submit(slow, n) for n in range(5)]
    pool.shutdown()
    assert all(future.done() for future in futures)
    return double(sum(future.result() for future in futures))


@perdure.workflow
def results_are_asked_for_after_the_pool() -> int:
    with perdure.ThreadPoolExecutor(1) as pool:
        futures = [pool.submit(slow, n) for n in range(3)]
        double(7)
    return double(sum(future.result() for future in futures))


@perdure.workflow
def nested() -> int:
    def inner(value: int) -> int:
        with perdure.ThreadPoolExecutor(2) as pool:
            parts = list(pool.map(double, [value, value + 1]))
        return double(sum(parts))

    with perdure.ThreadPoolExecutor(2) as pool:
        outer = list(pool.map(inner, [1, 2, 3]))
    return double(sum(outer))


@perdure.workflow
def in_a_loop() -> int:
    total = 0
    for start in range(3):
        with perdure.ThreadPoolExecutor(3) as pool:
            total += sum(pool.map(double, [start, start + 1]))
        total = double(total)
    return total


@perdure.workflow
def raised_in_the_pool() -> int:
    caught = 0
    try:
        with perdure.ThreadPoolExecutor(2) as pool:
            list(pool.map(refuse, [1, 2, 3]))
    except ValueError as error:
        caught = int(str(error))
    return double(caught)


@perdure.workflow
def raised_in_the_body() -> int:
    try:
        with perdure.ThreadPoolExecutor(2) as pool:
            pool.submit(slow, 1)
            pool.submit(slow, 2)
            refuse(double(3))
    except ValueError as error:
        return double(int(str(error)))
    return 0


@perdure.workflow
def not_waited_for() -> int:
    pool = perdure.ThreadPoolExecutor(2)
    future = pool.submit(slow, 1)
    pool.shutdown(wait=False)
    return double(future.result())


@perdure.workflow
def several_pools() -> int:
    with perdure.ThreadPoolExecutor(2) as one, perdure.ThreadPoolExecutor(1) as other:
        futures = [pool.submit(slow, n) for n in range(2) for pool in (one, other)]
    return double(sum(future.result() for future in futures))


@perdure.workflow
def as_they_complete() -> list[int]:
    with perdure.ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(slow, n, 0.02 * (3 - n)) for n in range(3)]
        order = [future.result() for future in concurrent.futures.as_completed(futures)]
    return [*order, double(1)]


@perdure.workflow
def in_a_loop_of_its_own() -> int:
    with perdure.ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(slow, n) for n in range(3)]

        async def total() -> int:
            return sum(future.result() for future in futures)

        return double(asyncio.run(total()))


@perdure.workflow
def left_early() -> int:
    with perdure.ThreadPoolExecutor(1) as pool:
        for number in pool.map(slow, range(5)):
            if number == 1:
                break
        total = double(number)
    return double(total)


@perdure.workflow
async def in_threads_of_tasks() -> int:
    def inner(value: int) -> int:
        with perdure.ThreadPoolExecutor(2) as pool:
            parts = list(pool.map(double, [value, value + 1]))
        return double(sum(parts))

    return sum(await asyncio.gather(*(perdure.to_thread(inner, n) for n in range(3))))


@perdure.workflow
async def as_an_executor_of_the_loop() -> int:
    loop = asyncio.get_running_loop()
    pool = perdure.ThreadPoolExecutor(2)
    parts = await asyncio.gather(*(loop.run_in_executor(pool, slow, n) for n in range(4)))
    more = await asyncio.wrap_future(pool.submit(double, 5))
    pool.shutdown()
    return double(sum(parts) + more)


EXPECTED: dict[Callable[..., Any], Any] = {
    map_then_step: 12,
    submit_then_shutdown: 20,
    results_are_asked_for_after_the_pool: 6,
    nested: 2 * sum(2 * (2 * n + 2 * (n + 1)) for n in (1, 2, 3)),
    in_a_loop: 2 * (2 * (2 * 2 + 6) + 10),
    raised_in_the_pool: 2,
    raised_in_the_body: 12,
    not_waited_for: 2,
    several_pools: 4,
    in_a_loop_of_its_own: 6,
    left_early: 4,
    in_threads_of_tasks: 2 * sum(2 * (2 * n + 1) for n in range(3)),
    as_an_executor_of_the_loop: 32,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", EXPECTED, ids=lambda program: str(program.__name__))
def test_it_ends_as_if_nothing_had_happened(program: Callable[..., Any]) -> None:
    for run in kills(program):
        assert run.result() == EXPECTED[program]
        # What is stored now is repeated without an error, whatever it was that died.
        assert run.replay().executed == []


@pytest.mark.timeout(60)
def test_they_complete_in_the_order_in_which_their_outcomes_were_accepted() -> None:
    for run in kills(as_they_complete):
        result = run.result()
        accepted = [int(key.partition("/")[0]) - 1 for key in run.checkpoints if key.endswith("/slow")]
        assert result == [*accepted, 2]
        assert run.replay().executed == []


@perdure.workflow
def drops_what_waits() -> list[str]:
    pool = perdure.ThreadPoolExecutor(1)
    futures = [pool.submit(slow, n) for n in range(4)]
    waiter = perdure.ThreadPoolExecutor(1)
    told = waiter.submit(lambda: _ending(futures[3]))
    double(1)
    pool.shutdown(cancel_futures=True)
    endings = [_ending(future) for future in futures]
    double(2)
    return [*endings, told.result()]


def _ending(future: concurrent.futures.Future[int]) -> str:
    try:
        return str(future.result())
    except concurrent.futures.CancelledError:
        return "cancelled"


@pytest.mark.timeout(60)
def test_what_is_dropped_is_cancelled_for_those_who_wait_for_it() -> None:
    """As are those that had no thread yet: which these are does not depend on the threads."""
    for run in kills(drops_what_waits):
        first = run.attempts[0].stored
        result = run.result()
        assert result[-2:] == ["cancelled", "cancelled"]
        if "1/slow" in first:
            assert result[0] == "0"


@pytest.mark.timeout(30)
def test_plain_calls_that_are_dropped_are_cancelled() -> None:
    gate = threading.Event()
    pool = perdure.ThreadPoolExecutor(1)
    first, second = pool.submit(gate.wait), pool.submit(gate.wait)
    pool.shutdown(wait=False, cancel_futures=True)
    assert second.cancelled()
    assert concurrent.futures.wait([second], timeout=5).done == {second}
    gate.set()
    assert first.result(timeout=5)
    pool.shutdown()


@perdure.workflow
async def shut_down_in_a_task() -> int:
    pool = perdure.ThreadPoolExecutor(1)
    future = pool.submit(slow, 1)
    with pytest.raises(StepCallError, match="1 unfinished calls"):
        pool.shutdown()
    return await asyncio.wrap_future(future)


@pytest.mark.timeout(30)
def test_a_task_cannot_wait_for_threads_that_need_its_loop() -> None:
    assert DurableRun(shut_down_in_a_task).result() == 1


@pytest.mark.timeout(30)
def test_a_pool_that_runs_share_holds_up_none_of_them() -> None:
    """The thread that one run has does not keep another from its own, so replay does not find itself at rest."""
    pool = perdure.ThreadPoolExecutor(1)
    held, gate = threading.Event(), threading.Event()

    @perdure.workflow
    def holds() -> bool:
        held.set()
        return pool.submit(gate.wait).result()

    @perdure.workflow
    def uses() -> int:
        return pool.submit(double, 1).result() + double(2)

    other = threading.Thread(target=DurableRun(holds).result)
    other.start()
    assert held.wait(5)
    for run in kills(uses):
        assert run.result() == 6
    gate.set()
    other.join()
