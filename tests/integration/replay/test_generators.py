"""An async generator that is left before its end: its `finally` runs in a branch of its own, at the same time again."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

import perdure
from perdure.testing import DurableRun, kills


@perdure.step
async def take(value: int) -> int:
    await asyncio.sleep(0.002)
    return value


@perdure.step
async def release(what: str) -> str:
    await asyncio.sleep(0.002)
    return what


async def numbers(released: list[str], name: str = "numbers") -> AsyncGenerator[int, None]:
    try:
        for number in range(5):
            yield await take(number)
    finally:
        released.append(await release(name))


@perdure.workflow
async def left_by_break() -> list[Any]:
    released: list[str] = []
    total = 0
    async for number in numbers(released):
        total += number
        if number == 2:
            break
    for _ in range(4):
        total += await take(10)
    return [total, released]


@perdure.workflow
async def left_by_an_error() -> list[Any]:
    released: list[str] = []
    try:
        async for number in numbers(released):
            if number == 1:
                raise ValueError(number)
    except ValueError:
        pass
    got = [await take(10), await take(11), await take(12)]
    return [sum(got), released]


@perdure.workflow
async def left_while_others_run() -> list[Any]:
    released: list[str] = []

    async def first(name: str) -> int:
        async for number in numbers(released, name):
            return number + await take(1)
        return 0

    total = sum(await asyncio.gather(*(first(f"n{n}") for n in range(3))))
    await asyncio.gather(*(take(n) for n in range(3)))
    return [total, released]


@perdure.workflow
async def closed_by_hand() -> list[Any]:
    released: list[str] = []
    async with contextlib.aclosing(numbers(released)) as opened:
        async for number in opened:
            if number == 1:
                break
    return [await take(3), released]


@perdure.workflow
async def left_in_a_cycle() -> list[Any]:
    """Nothing but the collection of garbage lets this generator go, whenever that is."""
    released: list[str] = []
    kept: list[Any] = [numbers(released)]
    kept.append(kept)
    total = await anext(kept[0])
    del kept
    gc.collect()
    for _ in range(3):
        total += await take(10)
    return [total, released]


EXPECTED: dict[Callable[..., Any], Any] = {
    left_by_break: [43, ["numbers"]],
    left_by_an_error: [33, ["numbers"]],
    left_while_others_run: [3, ["n0", "n1", "n2"]],
    closed_by_hand: [3, ["numbers"]],
    left_in_a_cycle: [30, ["numbers"]],
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", EXPECTED, ids=lambda program: str(program.__name__))
def test_a_step_in_finally_is_repeated(program: Callable[..., Any]) -> None:
    for run in kills(program):
        assert run.result() == EXPECTED[program]
        assert run.replay().executed == []


def test_the_branch_is_numbered_where_the_generator_began() -> None:
    run = DurableRun(left_by_break)
    run.result()
    assert "1/release" in run.checkpoints


def test_a_generator_that_is_garbage_is_collected_before_a_verdict() -> None:
    """On replay the collection comes at another time than it did."""

    @perdure.workflow
    async def lets_go(collect: bool) -> list[Any]:
        released: list[str] = []
        kept: list[Any] = [numbers(released)]
        kept.append(kept)
        total = await anext(kept[0])
        del kept
        if collected:
            gc.collect()
        other = asyncio.create_task(take(1))
        await asyncio.sleep(0.05)
        return [total + await other, released]

    collected = True
    run = DurableRun(lets_go, collect=True)
    assert run.attempt().executed[-1] == "1/release"
    collected = False
    gc.disable()
    try:
        assert run.replay().executed == []
    finally:
        gc.enable()
