"""Tasks that give way by `sleep(0)` for a while are no poll, and those that poll get what they poll for."""

from __future__ import annotations

import asyncio

import pytest

import perdure
from perdure.testing import DurableRun, kills


@perdure.step
async def fetch(number: int, seconds: float = 0.0) -> int:
    await asyncio.sleep(seconds)
    return number


@perdure.workflow
async def many_give_way() -> list[int]:
    order: list[int] = []

    async def one(number: int) -> None:
        for _ in range(2):
            await asyncio.sleep(0)
        order.append(number)

    async def step() -> None:
        order.append(await fetch(-1))

    await asyncio.gather(step(), *(one(number) for number in range(500)))
    return [order.index(-1), await fetch(len(order))]


@perdure.workflow
async def one_gives_way_long() -> list[str]:
    order: list[str] = []

    async def patient() -> None:
        for _ in range(5000):
            await asyncio.sleep(0)
        order.append(f"patient {await fetch(1)}")

    async def step() -> None:
        order.append(f"step {await fetch(2)}")
        order.append(f"step {await fetch(3)}")

    await asyncio.gather(patient(), step())
    return order


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", [many_give_way, one_gives_way_long])
def test_an_outcome_does_not_overtake_those_who_give_way(program: object) -> None:
    assert callable(program)
    undisturbed = DurableRun(program).result()
    for run in kills(program):
        assert run.result() == undisturbed
        assert run.replay().executed == []


@perdure.workflow
async def polls() -> int:
    task = asyncio.create_task(fetch(4, 0.02))
    while not task.done():
        await asyncio.sleep(0)
    return task.result() + await fetch(1)


@perdure.workflow
async def polls_by_waits_of_no_time() -> int:
    task = asyncio.create_task(fetch(4, 0.05))
    while not (await asyncio.wait({task}, timeout=0))[0]:
        pass
    return task.result() + await fetch(1)


@perdure.workflow
async def polls_by_short_waits() -> int:
    task = asyncio.create_task(fetch(4, 0.05))
    while not (await asyncio.wait({task}, timeout=1e-6))[0]:
        pass
    return task.result() + await fetch(1)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", [polls, polls_by_waits_of_no_time, polls_by_short_waits])
def test_a_poll_sees_its_outcome(program: object) -> None:
    assert callable(program)
    for run in kills(program):
        assert run.result() == 5
        assert run.replay().executed == []
