"""What a task waits for: something that a run's own code ends, or something that only the outside can."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from perdure import step, workflow
from perdure.engine.branches.branch import Branch
from perdure.engine.branches.context import CURRENT
from perdure.engine.steps.placing import unseen
from perdure.testing import DurableRun

found: list[str | None] = []


@step
async def act() -> int:
    await asyncio.sleep(0.05)
    return 1


def future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def sleeps() -> None:
    await asyncio.sleep(30)


async def waits_for_a_step() -> None:
    await act()


async def waits_for_an_event() -> None:
    await asyncio.Event().wait()


async def waits_for_a_queue() -> None:
    await asyncio.Queue[int]().get()


async def waits_for_a_lock() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


async def waits_in_time_for_an_event() -> None:
    await asyncio.wait_for(asyncio.Event().wait(), 30)


async def waits_for_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(30))


async def gathers() -> None:
    await asyncio.gather(asyncio.sleep(30), asyncio.sleep(30))


async def shields() -> None:
    await asyncio.shield(asyncio.create_task(asyncio.sleep(30)))


async def iterates() -> None:
    async def values() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 1

    async for _ in values():
        pass


async def waits_for_a_future() -> None:
    await future()


async def gathers_a_future() -> None:
    await asyncio.gather(asyncio.sleep(30), future())


async def shields_a_future() -> None:
    await asyncio.shield(future())


async def waits_for_one_of_futures() -> None:
    await asyncio.wait([future()])


async def waits_in_time_for_a_future() -> None:
    await asyncio.wait_for(future(), 30)


async def iterates_over_the_outside() -> None:
    async def values() -> AsyncIterator[int]:
        await future()
        yield 1

    async for _ in values():
        pass


PROGRAMS = {
    program.__name__: program
    for program in (
        sleeps,
        waits_for_a_step,
        waits_for_an_event,
        waits_for_a_queue,
        waits_for_a_lock,
        waits_in_time_for_an_event,
        waits_for_a_group,
        gathers,
        shields,
        iterates,
        waits_for_a_future,
        gathers_a_future,
        shields_a_future,
        waits_for_one_of_futures,
        waits_in_time_for_a_future,
        iterates_over_the_outside,
    )
}
OUTSIDE = {
    waits_for_a_future,
    gathers_a_future,
    shields_a_future,
    waits_for_one_of_futures,
    waits_in_time_for_a_future,
    iterates_over_the_outside,
}


@workflow
async def looks(program: str) -> None:
    branch = CURRENT.get()
    assert isinstance(branch, Branch)
    task = asyncio.create_task(PROGRAMS[program]())
    for _ in range(5):
        await asyncio.sleep(0)
    found.append(unseen(branch.attempt))
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_only_the_outside_can_end_is_unseen(program: str) -> None:
    found.clear()
    DurableRun(looks, program).result()
    (where,) = found
    if PROGRAMS[program] not in OUTSIDE:
        assert where is None
    else:
        assert where is not None
        assert where.startswith("branch '1' waits at ")
        assert f"{__file__}:" in where


@workflow
async def waits_itself() -> str | None:
    branch = CURRENT.get()
    assert isinstance(branch, Branch)
    outside = future()

    def look() -> None:
        found.append(unseen(branch.attempt))
        outside.set_result(None)

    asyncio.get_running_loop().call_later(0.01, look)
    await outside
    return found[0]


def test_the_workflow_itself_is_named_and_its_line() -> None:
    found.clear()
    where = DurableRun(waits_itself).result()
    assert where is not None
    assert where.startswith(f"the workflow waits at {__file__}:")
    assert where.endswith(", in waits_itself")
