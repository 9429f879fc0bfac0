"""What `task.cancel` was told reaches whoever catches the cancellation: live, on replay, and wherever it struck."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from perdure import Retry, step, workflow
from perdure.testing import DurableRun, kills


@step
async def quick() -> None:
    await asyncio.sleep(0.002)


@step
async def slow() -> None:
    await asyncio.sleep(30)


@step
async def stubborn() -> str:
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        return "finished all the same"
    return "never"


@step(retry=Retry(tries=3, delay=20.0, jitter=0))
async def tries_again() -> None:
    raise ConnectionError("not yet")


def cancelled_in(what: Callable[[], Awaitable[Any]]) -> Any:
    @workflow
    async def cancelled() -> list[str]:
        caught = []

        async def victim() -> None:
            try:
                await what()
                await asyncio.sleep(20)
            except asyncio.CancelledError as error:
                caught.append(repr(error.args))
                raise

        task = asyncio.create_task(victim())
        await quick()
        task.cancel("why")
        try:
            await task
        except asyncio.CancelledError as error:
            caught.append(repr(error.args))
        await quick()
        return caught

    return cancelled


@pytest.mark.parametrize("what", [slow, stubborn, tries_again, lambda: asyncio.sleep(20)])
def test_message_survives(what: Any) -> None:
    program = cancelled_in(what)
    expected = ["('why',)"] * 2
    assert DurableRun(program).result() == expected
    for run in kills(program):
        assert run.result() == expected, run.attempts
        assert run.replay().executed == []


def test_a_cancellation_without_a_message_has_none() -> None:
    @workflow
    async def cancelled() -> list[str]:
        task = asyncio.create_task(slow())
        await quick()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as error:
            return [repr(error.args)]
        return []

    for run in kills(cancelled):
        assert run.result() == ["()"]
