"""A task that cancels itself is cancelled at its next step, before that begins: live and on replay."""

from __future__ import annotations

import asyncio

import perdure
from perdure.testing import DurableRun, kills


@perdure.step
async def number(value: int) -> int:
    await asyncio.sleep(0.005)
    return value


@perdure.workflow
async def among_others() -> tuple[list[int], list[int | str]]:
    cleaned: list[int] = []

    async def cancels_itself() -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        try:
            return await number(3)
        finally:
            cleaned.append(await number(4))

    results = await asyncio.gather(cancels_itself(), number(5), return_exceptions=True)
    return cleaned, [type(one).__name__ if isinstance(one, BaseException) else one for one in results]


@perdure.workflow
async def alone() -> list[int]:
    task = asyncio.current_task()
    assert task is not None
    got = [await number(1)]
    task.cancel()
    try:
        got.append(await number(2))
    except asyncio.CancelledError:
        task.uncancel()
        got.append(await number(3))
    return got


def test_a_step_in_finally_is_kept_among_other_tasks() -> None:
    resumed = 0
    for run in kills(among_others):
        assert run.result() == ([4], ["CancelledError", 5])
        resumed += 1
    assert resumed == 4


def test_the_step_that_is_not_begun_takes_no_key() -> None:
    run = DurableRun(alone)
    assert run.result() == [1, 3]
    assert run.checkpoints == ["number", "number#2"]
    for run in kills(alone):
        assert run.result() == [1, 3]
