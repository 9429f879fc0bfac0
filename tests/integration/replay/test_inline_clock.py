"""A sync step that an async workflow calls directly moves the run's clock, as any other outcome does."""

from __future__ import annotations

import asyncio
import time

import pytest

import perdure
from perdure.testing import DurableRun, kills


@perdure.step
def busy(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@perdure.step
async def fetch(number: int) -> int:
    await asyncio.sleep(0.03)
    return number


@perdure.workflow
async def limited() -> str:
    other = asyncio.create_task(asyncio.sleep(100))
    busy(0.3)
    try:
        async with asyncio.timeout(0.25):
            await asyncio.sleep(0)
            busy(0.02)
            await fetch(1)
            return "in time"
    except TimeoutError:
        return "timed out"
    finally:
        other.cancel()


@perdure.workflow
async def slept() -> float:
    other = asyncio.create_task(asyncio.sleep(100))
    busy(0.3)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert before >= 0.3
    began = time.monotonic()
    await asyncio.sleep(0.2)
    took = time.monotonic() - began
    other.cancel()
    return took


@perdure.workflow
async def strikes() -> str:
    try:
        async with asyncio.timeout(0.1):
            busy(0.2)
            await asyncio.sleep(0.05)
            busy(0.0)
            return "in time"
    except TimeoutError:
        await fetch(2)
        return "timed out"


@pytest.mark.timeout(30)
def test_a_timeout_counts_from_the_step_before_it() -> None:
    for run in kills(limited):
        assert run.result() == "in time"
        assert run.replay().executed == []


@pytest.mark.timeout(30)
def test_a_sleep_after_the_step_takes_its_time() -> None:
    assert 0.19 < DurableRun(slept).result() < 0.5


@pytest.mark.timeout(30)
def test_a_timeout_strikes_over_a_step_that_outlasts_it() -> None:
    for run in kills(strikes):
        assert run.result() == "timed out"
        assert run.replay().executed == []


@perdure.workflow
async def flushes_by_a_step() -> list[int]:
    return await _batches(flush=lambda size: int(busy(0.015)) + size)


@perdure.workflow
async def flushes_by_itself() -> list[int]:
    def flush(size: int) -> int:
        time.sleep(0.015)
        return size

    return await _batches(flush)


async def _batches(flush: object) -> list[int]:
    """Collects what a task brings, and flushes whenever it brought nothing for a moment."""
    assert callable(flush)
    events: asyncio.Queue[int | None] = asyncio.Queue()

    async def fill() -> None:
        for number in range(12):
            await events.put(await fetch(number))
        await events.put(None)

    filling = asyncio.create_task(fill())
    flushed: list[int] = []
    collected = 0
    while True:
        try:
            event = await asyncio.wait_for(events.get(), timeout=0.01)
        except TimeoutError:
            flushed.append(flush(collected))
            collected = 0
            continue
        if event is None:
            break
        collected += 1
    await filling
    return [*flushed, collected]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", [flushes_by_a_step, flushes_by_itself])
def test_a_loop_that_works_for_longer_than_it_waits_does_not_stay_behind(program: object) -> None:
    """Each turn waits for 10 ms of the clock and works for 15: a clock that ran on meanwhile was never caught up."""
    assert callable(program)
    began = time.monotonic()
    run = DurableRun(program)
    flushed = run.result()
    assert sum(flushed) == 12
    assert time.monotonic() - began < 5
    assert run.replay().executed == []
