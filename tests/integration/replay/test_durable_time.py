"""Time passes on a run's clock while nobody runs: what fell due meanwhile comes first, before any body begins."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import perdure
from perdure.errors import Released, StepCallError
from perdure.testing import DurableRun

HOUR = 3600.0


@perdure.step
async def note(text: str) -> str:
    return text


@perdure.step
async def charge(seconds: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    return "charged"


@perdure.step
async def refund() -> str:
    return "refunded"


@perdure.step
def book(text: str) -> str:
    return text


@perdure.workflow
def naps() -> list[str]:
    began = perdure.now()
    book("before")
    perdure.sleep(HOUR)
    perdure.sleep_until(began + timedelta(seconds=HOUR + 60))
    return [book(str(perdure.now() - began >= timedelta(seconds=HOUR + 60)))]


@perdure.workflow
async def async_naps() -> list[str]:
    began = perdure.now()
    await note("before")
    await asyncio.sleep(HOUR)
    await perdure.aio.sleep_until(began + timedelta(seconds=HOUR + 60))
    return [await note(str(perdure.now() - began >= timedelta(seconds=HOUR + 60)))]


@pytest.mark.parametrize("workflow", [naps, async_naps])
def test_sleeps_are_over_in_time_that_nobody_ran(workflow: Callable[..., Any]) -> None:
    run = DurableRun(workflow)
    run.attempt(kill_after=1)
    run.pass_time(HOUR + 70)
    began = time.monotonic()
    assert run.result() == ["True"]
    assert time.monotonic() - began < 10
    assert run.replay().executed == []


@perdure.workflow
async def charges() -> str:
    await note("before")
    try:
        async with asyncio.timeout(60):
            return await charge()
    except TimeoutError:
        return await note("timed out")


def test_a_step_whose_timeout_is_over_does_not_begin_again() -> None:
    run = DurableRun(charges)
    run.attempt(kill_in="charge")
    run.pass_time(61)
    report = run.attempt()
    assert report.executed == ["note#2"]
    assert run.result() == "timed out"
    assert run.checkpoints == ["note", "charge", "note#2"]
    assert run.replay().executed == []


def test_a_step_whose_timeout_is_not_over_begins_again() -> None:
    run = DurableRun(charges)
    run.attempt(kill_in="charge")
    run.pass_time(50)
    assert run.attempt().executed == ["charge"]
    assert run.result() == "charged"


@perdure.workflow
async def nested() -> list[str]:
    told = [await note("before")]
    try:
        async with asyncio.timeout(600):
            try:
                async with asyncio.timeout(60):
                    told.append(await charge())
            except TimeoutError:
                told.append(await refund())
    except TimeoutError:
        told.append(await note("gave up"))
    return told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (59.0, ["before", "charged"]),
        (61.0, ["before", "refunded"]),
        (599.0, ["before", "refunded"]),
        (601.0, ["before", "gave up"]),
    ],
)
def test_what_fell_due_comes_in_the_order_of_its_time(seconds: float, told: list[str]) -> None:
    run = DurableRun(nested)
    run.attempt(kill_in="charge")
    run.pass_time(seconds)
    assert run.result() == told
    # The inner timeout struck at its time, so that what handles it was called, and then cut off by the outer one.
    assert ("refund" in run.checkpoints) == (seconds > 60)
    assert run.replay().executed == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_death_while_the_past_is_settled_changes_nothing(count: int) -> None:
    run = DurableRun(nested)
    run.attempt(kill_in="charge")
    run.pass_time(601)
    run.attempt(kill_after=count)
    run.pass_time(HOUR)
    assert run.result() == ["before", "gave up"]
    assert run.checkpoints == ["note", "charge", "refund", "note#2"]
    assert run.replay().executed == []


@perdure.workflow
def waits_for_a_thread() -> list[str]:
    told = [book("before")]
    with perdure.ThreadPoolExecutor(1) as pool:
        future = pool.submit(book, "slow")
        try:
            told.append(future.result(timeout=60))
        except TimeoutError:
            told.append(book("late"))
        told.append(future.result())
    return told


@pytest.mark.parametrize(("seconds", "told"), [(59.0, ["before", "slow", "slow"]), (61.0, ["before", "late", "slow"])])
def test_waits_of_threads_run_out_in_time_that_nobody_ran(seconds: float, told: list[str]) -> None:
    run = DurableRun(waits_for_a_thread)
    run.attempt(kill_in="1/book")
    run.pass_time(seconds)
    assert run.result() == told
    assert run.replay().executed == []


@perdure.workflow
async def beside_the_outside() -> list[str]:
    async def outside() -> str:
        await asyncio.to_thread(time.sleep, 0.4)
        # Set in the time of this attempt, and no timeout of the past.
        async with asyncio.timeout(30):
            return await note("outside")

    task = asyncio.create_task(outside())
    told = [await note("before")]
    told.append(await note("after"))
    await asyncio.sleep(0.05)
    return [*told, await charge(), await task]


def test_replay_does_not_give_the_outside_the_time_that_nobody_ran() -> None:
    run = DurableRun(beside_the_outside)
    run.attempt(kill_after=1)
    run.pass_time(HOUR)
    run.attempt(kill_after=2)
    run.pass_time(HOUR)
    began = time.monotonic()
    assert run.result() == ["before", "after", "charged", "outside"]
    assert run.replay().executed == []
    assert time.monotonic() - began < 10


@perdure.workflow
async def told_by_a_step() -> list[str]:
    """The body of a step sets what workflow code waits for, and what is recorded comes after that."""
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def tell() -> str:
        if not heard.done():
            heard.set_result("heard")
        await asyncio.sleep(0.1)
        return "told"

    async def telling() -> str:
        return await perdure.run_step("tell", tell)

    task = asyncio.create_task(telling())
    return [await note(await heard), await task]


@pytest.mark.timeout(30)
def test_a_step_on_which_what_is_recorded_depends_begins_before_that() -> None:
    run = DurableRun(told_by_a_step)
    run.attempt(kill_after=1)
    assert run.checkpoints == ["note"]
    run.pass_time(HOUR)
    assert run.result() == ["heard", "told"]


@perdure.workflow
async def blocks() -> None:
    perdure.sleep(0)


@perdure.workflow
async def blocks_until() -> None:
    perdure.sleep_until(datetime.now(UTC))


@pytest.mark.parametrize("workflow", [blocks, blocks_until])
def test_a_sleep_that_would_block_the_loop_is_refused(workflow: Callable[..., Any]) -> None:
    with pytest.raises(StepCallError, match="block the event loop"):
        DurableRun(workflow).result()


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_sleep_takes_time(seconds: float) -> None:
    with pytest.raises(ValueError, match="0 or more seconds"):
        perdure.sleep(seconds)


def test_a_moment_has_a_time_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        perdure.sleep_until(datetime(2026, 1, 1))  # noqa: DTZ001


def test_outside_of_runs_they_sleep_by_the_clock_of_the_system() -> None:
    tokyo = timezone(timedelta(hours=9))
    for sleeps in (
        lambda: perdure.sleep(0.05),
        lambda: perdure.sleep_until(datetime.now(tokyo) + timedelta(seconds=0.05)),
    ):
        began = time.monotonic()
        sleeps()
        assert 0.045 <= time.monotonic() - began < 5
    perdure.sleep_until(datetime.now(UTC) - timedelta(days=1))


@perdure.workflow
def reads_the_time() -> list[datetime]:
    read = [perdure.now()]
    book("one")
    read.append(perdure.now())
    perdure.sleep(0.05)
    read.append(perdure.now())
    perdure.sleep_until(read[-1] + timedelta(milliseconds=50))
    perdure.sleep_until(read[0])
    with perdure.ThreadPoolExecutor(1) as pool:
        concurrent.futures.wait([pool.submit(book, "two")])
    return [*read, perdure.now()]


def test_what_it_reads_as_the_time_agrees_with_what_it_slept() -> None:
    run = DurableRun(reads_the_time)
    before = datetime.now(UTC)
    run.attempt(kill_after=2)
    read = run.result()
    assert before - timedelta(seconds=1) < read[0] < before + timedelta(seconds=1)
    assert read == sorted(read)
    assert read[2] - read[1] == timedelta(milliseconds=50)
    assert read[3] - read[2] >= timedelta(milliseconds=50)
    assert run.checkpoints == ["book", "1/book"]
    assert {one.utcoffset() for one in read} == {timedelta()}


@perdure.step
def tell_to_stop() -> None:
    perdure.step_context().branch.attempt.drain(Released("the process is told to stop"))


@perdure.workflow
def stops() -> None:
    tell_to_stop()
    perdure.sleep(HOUR)


@pytest.mark.timeout(20)
def test_an_attempt_that_is_told_to_stop_ends_at_its_sleep() -> None:
    with pytest.raises(Released):
        DurableRun(stops).result()
