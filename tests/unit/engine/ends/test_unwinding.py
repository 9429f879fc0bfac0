"""An attempt that ends unwinds, whatever its code awaits on its way out, and is left behind if it never does."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress

import pytest

from perdure import step, workflow
from perdure.testing import DurableRun


@step
async def tick(n: int) -> int:
    await asyncio.sleep(0.002)
    return n


async def ticker() -> None:
    for n in range(1000):
        await tick(n)


def killed_in_time(run: DurableRun, seconds: float) -> None:
    started = time.monotonic()
    assert run.attempt(kill_after=2).killed
    assert time.monotonic() - started < seconds


def test_cleanup_that_awaits_does_not_hold_it_up() -> None:
    noted = []

    @workflow
    async def beside_a_ticker() -> None:
        ticking = asyncio.create_task(ticker())
        other = asyncio.create_task(asyncio.sleep(3600))
        try:
            await asyncio.sleep(3600)
        finally:
            ticking.cancel()
            other.cancel()
            with suppress(asyncio.CancelledError):
                await other
            noted.append("awaits")
            await asyncio.sleep(1)
            noted.append("never")

    killed_in_time(DurableRun(beside_a_ticker), 3.0)
    assert noted == ["awaits"]


def test_every_await_of_an_ended_attempt_is_cancelled() -> None:
    noted = []

    @workflow
    async def swallows() -> None:
        ticking = asyncio.create_task(ticker())
        for n in range(10):
            with suppress(asyncio.CancelledError):
                await (asyncio.sleep(3600) if n % 2 else asyncio.Event().wait())
            noted.append(n)
        ticking.cancel()

    killed_in_time(DurableRun(swallows), 5.0)
    assert noted == list(range(10))


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0, 3600])
def test_what_never_unwinds_is_left_behind_and_does_not_run_on(caplog: pytest.LogCaptureFixture, pause: float) -> None:
    turns = 0

    @workflow
    async def never_ends() -> None:
        nonlocal turns
        ticking = asyncio.create_task(ticker())
        while True:
            turns += 1
            try:
                await asyncio.sleep(pause)
            except asyncio.CancelledError:
                ticking.cancel()

    with caplog.at_level(logging.WARNING, "perdure"):
        killed_in_time(DurableRun(never_ends), 20.0)
    assert "left behind" in caplog.text
    before = turns
    DurableRun(never_ends_not).result()
    assert turns == before


@workflow
async def never_ends_not() -> None:
    await asyncio.sleep(0.01)


def test_a_step_in_flight_closes_what_it_has_open() -> None:
    """Its body is no workflow code: what it awaits on its way out has a moment."""
    noted = []

    @step
    async def with_a_connection() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.3)
            noted.append("closed")

    @workflow
    async def beside_a_ticker() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(with_a_connection())
            group.create_task(ticker())

    killed_in_time(DurableRun(beside_a_ticker), 5.0)
    assert noted == ["closed"]
