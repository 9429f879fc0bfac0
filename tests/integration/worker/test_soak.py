"""A worker holds nothing of runs that have ended: no objects, threads, descriptors or connections of theirs."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import Counter
from collections.abc import Iterator

import pytest

import perdure
from perdure import Retry, run_step, step, step_context, workflow
from perdure.client import Client
from perdure.worker import Worker
from tests.harness.databases import Database
from tests.harness.eventually import eventually

KINDS = {
    "Attempt", "Branch", "BranchFuture", "BranchTask", "Checkpoint", "ClaimedRun", "Completion", "Delivery",
    "LazyEvent", "Journal", "Scheduler", "ScheduledTimer", "Outcome", "Place", "Recorded", "RunHandle", "Running",
    "RunTimer", "Seat", "StepContext", "StepDefinition", "ThreadPoolExecutor", "ThreadWatch", "TimerHandle", "Timer",
    "StepConnection", "AsyncStepConnection", "Ballast",
}  # fmt: skip
"""Of the engine and of workers: what belongs to one run, and what may hold it."""


class Ballast:
    """What workflow code holds."""

    value = 1


@step
def plain(number: int) -> int:
    return number


@step
async def async_plain(number: int) -> int:
    return number


@step(timeout=3600)
def timed(number: int) -> int:
    return number


@step(timeout=3600)
async def async_timed(number: int) -> int:
    return number


@step(retry=Retry(tries=2, delay=0.001))
def fails() -> None:
    raise ValueError("no")


@step(database=True)
def books() -> None:
    step_context().connection.execute("SELECT 1")


@step(database=True)
async def async_books() -> None:
    await step_context().connection.execute("SELECT 1")


@step
async def hangs() -> None:
    await asyncio.sleep(3600)


@workflow
def sync_one() -> int:
    ballast = Ballast()
    books()
    return run_step("closure", lambda: ballast.value) + timed(1)


@workflow
async def async_one() -> int:
    ballast = Ballast()

    async def closure() -> int:
        return ballast.value

    await async_books()
    async with asyncio.timeout(3600):
        total = sum(await asyncio.gather(*(async_plain(n) for n in range(3)), async_timed(1)))
    sleeping = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.wait({asyncio.create_task(async_plain(1))}, timeout=3600)
    sleeping.cancel()
    return total + await run_step("closure", closure)


@workflow
def threads() -> int:
    with perdure.ThreadPoolExecutor(3) as pool:
        return sum(pool.map(plain, range(3)))


@workflow
async def in_threads() -> int:
    return sum(await asyncio.gather(*(perdure.to_thread(plain, n) for n in range(3))))


@workflow
def failing() -> None:
    ballast = Ballast()
    fails()
    del ballast


@workflow
async def cancelled() -> None:
    ballast = Ballast()
    async with asyncio.timeout(3600):
        await asyncio.gather(hangs(), async_plain(1))
    del ballast


@workflow
async def late() -> None:
    await hangs()


WORKFLOWS = [sync_one, async_one, threads, in_threads, failing, cancelled, late]


def _round(client: Client, database: Database, name: str, number: int) -> None:
    """So many runs, a seventh of each kind, each with a deadline that is far off; to their ends."""
    for n in range(number // len(WORKFLOWS)):
        for workflow_ in WORKFLOWS:
            kind = workflow_.__name__
            client.start(workflow_, id=f"{name}-{kind}-{n}", deadline=0.2 if kind == "late" else 3600.0)
    eventually(lambda: _left(database) <= number // len(WORKFLOWS), deadline=120, every=0.1)
    for n in range(number // len(WORKFLOWS)):
        client.cancel(f"{name}-cancelled-{n}")
    eventually(lambda: _left(database) == 0, deadline=60, every=0.1)


def _left(database: Database) -> int:
    [(left,)] = database.query("SELECT count(*) FROM perdure.runs WHERE state IN ('pending', 'running')")
    return int(left)


def _objects() -> Counter[str]:
    gc.collect()
    return Counter(name for one in gc.get_objects() if (name := type(one).__name__.lstrip("_")) in KINDS)


def _threads() -> Counter[str]:
    return Counter(one.name.split("-run-")[0] for one in threading.enumerate())


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _connections(database: Database) -> int:
    [(count,)] = database.query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    return int(count)


@pytest.fixture
def collected() -> Iterator[None]:
    """Whatever earlier tests left is gone."""
    gc.collect()
    yield
    gc.collect()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("collected")
def test_nothing_is_held_of_runs_that_have_ended(database: Database) -> None:
    with Worker(database.url, workflows=WORKFLOWS), Client(database.url) as client:
        _round(client, database, "first", 70)
        eventually(lambda: not _objects()["Ballast"], deadline=15, every=0.5)
        base, threads_before, descriptors, connections = _objects(), _threads(), _descriptors(), _connections(database)
        _round(client, database, "second", 2100)

        def back() -> bool:
            over = {kind: (base[kind], now) for kind, now in _objects().items() if now > base[kind] + 5}
            assert not over, over
            assert _threads() <= threads_before + Counter({"perdure": 2}), _threads() - threads_before
            assert _descriptors() <= descriptors + 8, (descriptors, _descriptors())
            assert _connections(database) <= connections + 6, (connections, _connections(database))
            return True

        assert eventually(back, deadline=20, every=0.5)
