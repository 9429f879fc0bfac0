"""One of many async runs in a process raises what ends processes: the others do not notice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from perdure import run_step, step, workflow
from perdure.attempt_results import Failed, Succeeded
from tests.harness.databases import Database
from tests.integration.engine.attempts import Run, attempt_together


@step
async def count(number: int) -> int:
    await asyncio.sleep(0.001)
    return number


@workflow
async def counting() -> int:
    return sum([await count(n) for n in range(30)])


@workflow
async def exits() -> None:
    await count(1)
    sys.exit(3)


@workflow
async def exits_in_a_step() -> None:
    async def leave() -> None:
        await asyncio.sleep(0.001)
        sys.exit(3)

    await count(1)
    await run_step("leave", leave)


@workflow
async def exits_in_a_sync_step() -> None:
    await count(1)
    run_step("leave", sys.exit, 3)


@workflow
async def exits_in_a_task() -> None:
    async def leave() -> None:
        await count(1)
        sys.exit(3)

    async with asyncio.TaskGroup() as group:
        group.create_task(leave())
        group.create_task(count(2))


@workflow
async def exits_in_a_forgotten_task() -> None:
    async def leave() -> None:
        sys.exit(3)

    task = asyncio.create_task(leave())
    await count(1)
    await task


@workflow
async def exits_in_callbacks() -> None:
    loop = asyncio.get_running_loop()
    loop.call_soon(sys.exit, 3)
    loop.call_soon_threadsafe(sys.exit, 3)
    loop.call_later(0.001, sys.exit, 3)
    await count(1)

    async def leave() -> None:
        here = asyncio.get_running_loop()
        here.call_soon(sys.exit, 3)
        here.call_soon_threadsafe(sys.exit, 3)
        here.call_later(0.001, sys.exit, 3)
        await asyncio.sleep(0.01)

    await run_step("leave", leave)
    sys.exit(3)


class Halt(BaseException): ...


@workflow
async def halts() -> None:
    await count(1)
    raise Halt


@workflow
async def interrupts() -> None:
    await count(1)
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("flow", "error"),
    [
        (exits, "SystemExit"),
        (exits_in_a_step, "SystemExit"),
        (exits_in_a_sync_step, "SystemExit"),
        (exits_in_a_task, "SystemExit"),
        (exits_in_a_forgotten_task, "SystemExit"),
        (exits_in_callbacks, "SystemExit"),
        (halts, "Halt"),
        (interrupts, "KeyboardInterrupt"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_its_neighbours_go_on(database: Database, flow: Callable[[], Any], error: str) -> None:
    runs = [Run(database.url, counting) for _ in range(6)]
    runs.insert(3, Run(database.url, flow))
    endings = attempt_together(runs, through=database.url)
    ended = endings.pop(3)
    assert isinstance(ended, Failed)
    assert type(ended.raised).__name__ == error
    assert set(endings) == {Succeeded(str(sum(range(30))))}
    [(stored,)] = database.query("SELECT count(*) FROM perdure.steps WHERE name = 'count' AND run_id <> %s", runs[3].id)
    assert stored == 180
