"""Branches that create branches, without end."""

from __future__ import annotations

import asyncio

import perdure
from perdure import step, workflow
from perdure.testing import DurableRun


@step
async def beat(number: int) -> int:
    return number


@workflow
async def chain(generations: int) -> int:
    """Each task starts its successor and ends."""
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    tasks = set()

    async def generation(number: int) -> None:
        tasks.add(asyncio.current_task())
        await beat(number)
        if number == generations:
            ended.set_result(number)
            return
        successor = asyncio.create_task(generation(number + 1))
        successor.add_done_callback(tasks.discard)

    await asyncio.create_task(generation(1))
    return await ended


def test_a_task_that_starts_its_successor_has_bounded_keys() -> None:
    run = DurableRun(chain, 300)
    run.attempt(kill_after=200)
    assert run.result() == 300
    assert max(map(len, run.checkpoints)) < 170
    assert len(set(run.checkpoints)) == 300
    assert len(run.attempts[-1].replayed) == 200


@step
def square(number: int) -> int:
    return number * number


def test_deep_pools_keep_the_order_of_their_branches() -> None:
    def deep(level: int) -> list[int]:
        with perdure.ThreadPoolExecutor(2) as pool:
            if level == 0:
                return list(pool.map(square, range(4)))
            return pool.submit(deep, level - 1).result()

    @workflow
    def nested() -> list[int]:
        return deep(70)

    run = DurableRun(nested)
    run.attempt(kill_after=2)
    assert run.result() == [0, 1, 4, 9]
    assert all(key.startswith("~1-") for key in run.checkpoints)
