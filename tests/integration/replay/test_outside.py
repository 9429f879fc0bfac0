"""Workflow code that waits for the outside: replay waits, too, and calls nothing missing that may still be called."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import anyio
import anyio.to_thread
import pytest

import perdure
from perdure.errors import NondeterminismError
from perdure.testing import DurableRun, kills


def pure(value: int, seconds: float = 0.05) -> int:
    """Something that takes its time and is no step."""
    time.sleep(seconds)
    return value + 1


@perdure.step
async def add(value: int, seconds: float = 0.005) -> int:
    await asyncio.sleep(seconds)
    return value + 1


@perdure.step
def add_now(value: int) -> int:
    return value + 1


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[int], object], value: int) -> None:
    """From a thread, which outlives an attempt that is killed."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, value)


@perdure.workflow
async def to_thread() -> int:
    async def one(value: int) -> int:
        return await add(await asyncio.to_thread(pure, await add(value)))

    return sum(await asyncio.gather(*(one(n) for n in range(3))))


@perdure.workflow
async def to_anyios_thread() -> int:
    async def one(value: int) -> int:
        return await add(await anyio.to_thread.run_sync(pure, await add(value)))

    return sum(await asyncio.gather(*(one(n) for n in range(3))))


@perdure.workflow
async def wrapped_future() -> int:
    with concurrent.futures.ThreadPoolExecutor(2) as executor:

        async def one(value: int) -> int:
            return await add(await asyncio.wrap_future(executor.submit(pure, await add(value))))

        return sum(await asyncio.gather(*(one(n) for n in range(3))))


@perdure.workflow
async def in_executor() -> int:
    loop = asyncio.get_running_loop()

    async def one(value: int) -> int:
        return await add(await loop.run_in_executor(None, pure, await add(value)))

    return sum(await asyncio.gather(*(one(n) for n in range(3))))


@perdure.workflow
async def thread_that_calls_back() -> int:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[int] = asyncio.Queue()

    def feed() -> None:
        for number in range(3):
            _tell(loop, queue.put_nowait, pure(number, 0.02))

    side = asyncio.create_task(add(10))
    thread = threading.Thread(target=feed)
    thread.start()
    total = 0
    for _ in range(3):
        total += await add(await queue.get())
    return total + await side


@perdure.workflow
async def bare_future() -> int:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    side = asyncio.create_task(add(1))

    def answer() -> None:
        _tell(loop, future.set_result, pure(1))

    threading.Thread(target=answer).start()
    return await add(await future) + await side


@perdure.workflow
async def own_thread_safe_calls() -> int:
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    order: list[str] = []

    async def other() -> None:
        await arrived.wait()
        order.append(f"arrived {await add(1)}")

    async def steps() -> None:
        order.append(f"step {await add(2)}")

    tasks = [asyncio.create_task(other()), asyncio.create_task(steps())]
    loop.call_soon_threadsafe(loop.call_soon_threadsafe, arrived.set)
    await asyncio.gather(*tasks)
    return await add(len(order))


@perdure.workflow
async def over_a_socket() -> int:
    one, other = socket.socketpair()
    with closing(one), closing(other):
        reader, writer = await asyncio.open_connection(sock=one)
        with closing(writer):
            side = asyncio.create_task(add(1))

            def answer() -> None:
                time.sleep(0.05)
                with suppress(OSError):
                    other.sendall(b"7\n")

            threading.Thread(target=answer).start()
            line = await reader.readline()
            return await add(int(line)) + await side


@perdure.workflow
def with_a_plain_pool() -> int:
    with perdure.ThreadPoolExecutor(2) as pool, concurrent.futures.ThreadPoolExecutor(2) as plain:
        return sum(pool.map(lambda n: add_now(plain.submit(pure, add_now(n)).result()), range(3)))


EXPECTED: dict[Callable[..., Any], int] = {
    to_thread: 12,
    to_anyios_thread: 12,
    wrapped_future: 12,
    in_executor: 12,
    thread_that_calls_back: 20,
    bare_future: 5,
    own_thread_safe_calls: 3,
    over_a_socket: 10,
    with_a_plain_pool: 12,
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("program", EXPECTED, ids=lambda program: str(program.__name__))
def test_replay_waits_too(program: Callable[..., Any]) -> None:
    for run in kills(program):
        assert run.result() == EXPECTED[program]
        assert run.replay().executed == []


@perdure.workflow
async def outside_in_time() -> str:
    """What is outside takes 50 ms: less than the timeout, which is long over when the last step was recorded."""
    try:
        async with asyncio.timeout(0.4):
            value = await asyncio.to_thread(pure, 1)
    except TimeoutError:
        return f"late {await add(5)}"
    await asyncio.sleep(0.5)
    return f"in time {await add(value)}"


@perdure.workflow
async def anyios_thread_in_time() -> str:
    with anyio.move_on_after(0.4):
        value = await anyio.to_thread.run_sync(pure, 1)
        await asyncio.sleep(0.3)
        value = await add(value)
        await asyncio.sleep(0.3)
        return "nobody stopped it"
    return f"late {await add(value)}"


@perdure.workflow
async def outside_late() -> str:
    try:
        async with asyncio.timeout(0.02):
            await asyncio.to_thread(pure, 1, 0.3)
    except TimeoutError:
        return f"late {await add(5)}"
    return f"in time {await add(1)}"


@perdure.workflow
async def outside_wins() -> str:
    outside = asyncio.create_task(asyncio.to_thread(pure, 1))
    step = asyncio.create_task(add(1, 0.4))
    done, _ = await asyncio.wait({outside, step}, return_when=asyncio.FIRST_COMPLETED)
    return f"{outside in done} {step in done} {await step} {await add(1)}"


RACES: dict[Callable[..., Any], str] = {
    outside_in_time: "in time 3",
    anyios_thread_in_time: "late 4",
    outside_late: "late 6",
    outside_wins: "True False 2 2",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("program", RACES, ids=lambda program: str(program.__name__))
def test_the_outside_has_the_time_that_it_had(program: Callable[..., Any]) -> None:
    """A timeout or a step that came later by the run's clock does not come before it on replay."""
    for run in kills(program):
        assert run.result() == RACES[program]
        assert run.replay().executed == []


def _versions(*, outside: bool) -> tuple[Callable[..., Any], Callable[..., Any]]:
    release = threading.Event()

    @perdure.workflow
    async def before() -> int:
        return sum(await asyncio.gather(add(1), add(2)))

    async def forgets() -> int:
        ready = asyncio.Event()

        async def never_adds() -> int:
            if outside:
                await asyncio.to_thread(release.wait, 8)
                return await add(1)
            await ready.wait()
            return 0

        return sum(await asyncio.gather(never_adds(), add(2)))

    return before, perdure.workflow(forgets)


@pytest.mark.timeout(30)
def test_the_verdict_comes_at_once_where_all_wait_for_each_other() -> None:
    before, after = _versions(outside=False)
    run = DurableRun(before)
    run.attempt()
    began = time.monotonic()
    with pytest.raises(NondeterminismError, match="was not called"):
        run.replay(after)
    assert time.monotonic() - began < 3


@pytest.mark.timeout(60)
def test_it_is_said_where_the_run_waits_for_the_outside(caplog: pytest.LogCaptureFixture) -> None:
    before, after = _versions(outside=True)
    run = DurableRun(before)
    run.attempt()
    with caplog.at_level(logging.WARNING, logger="perdure"):
        run.replay(after)
    [record] = caplog.records
    assert "waits for something that Perdure cannot see" in record.getMessage()
    assert "in never_adds" in record.getMessage()
