"""Workflows for workers in processes of their own. They note what they do in a file of the folder in `FLOWS_FOLDER`."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import perdure
from perdure import step, step_context, workflow
from perdure.errors import RunCancelled

FOLDER = Path(os.environ.get("FLOWS_FOLDER", "."))


def note(event: str) -> None:
    context = step_context()
    line = {"event": event, "run": context.id, "key": context.step_key, "attempt": context.attempt}
    # One write that appends is never mixed with another's.
    with (FOLDER / "events").open("ab", buffering=0) as file:
        file.write(json.dumps(line | {"pid": os.getpid(), "at": time.monotonic()}).encode() + b"\n")


def is_open(gate: str) -> bool:
    return (FOLDER / gate).exists()


@step
def tick(number: int) -> int:
    note("tick")
    return number


@step
async def async_tick(number: int, pause: float = 0.0) -> int:
    note("tick")
    await asyncio.sleep(pause)
    return number


@workflow
def naps(seconds: float) -> int:
    tick(1)
    perdure.sleep(seconds)
    return tick(2)


@workflow
async def async_naps(seconds: float) -> int:
    await async_tick(1)
    await asyncio.sleep(seconds)
    return await async_tick(2)


@step
def pass_gate(gate: str) -> None:
    note("at the gate")
    told = False
    while not is_open(gate):
        time.sleep(0.01)
        if step_context().cancel_requested and not told:
            note("told")
            told = True
    note("through the gate")


@step
async def async_pass_gate(gate: str) -> None:
    note("at the gate")
    try:
        while not is_open(gate):
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        note("cancelled")
        raise
    note("through the gate")


@workflow
def count(steps: int) -> int:
    return sum(tick(n) for n in range(steps))


@workflow
async def async_count(steps: int, pause: float = 0.0) -> int:
    return sum([await async_tick(n, pause) for n in range(steps)])


@step
def held_tick(number: int) -> int:
    """A sync step, which in an async workflow holds the loop."""
    note("tick")
    return number


@workflow
async def sync_steps(gate: str, then: str) -> int:
    """A sync step whose outcome cannot be stored for a while, and something after it."""
    total = await async_tick(0)
    while not is_open(gate):
        await asyncio.sleep(0.01)
    total += held_tick(1)
    match then:
        case "async":
            total += await async_tick(2)
        case "sync":
            total += held_tick(2)
        case "thread":
            total += await perdure.to_thread(held_tick, 2)
        case "now":
            total += perdure.now().year > 2000
            total += perdure.now().year > 2000
        case _:
            pass
    return total


@workflow
async def sync_among_tasks(gate: str) -> list[int]:
    """A step of another task is under way while the outcome of a sync one waits."""
    first = asyncio.create_task(async_tick(0, 1.0))
    await async_tick(1)
    while not is_open(gate):
        await asyncio.sleep(0.01)
    return [held_tick(2), await first]


@workflow
def gated(gate: str) -> int:
    before = tick(1)
    pass_gate(gate)
    return before + tick(2)


@workflow
async def async_gated(gate: str) -> int:
    before = await async_tick(1)
    await async_pass_gate(gate)
    return before + await async_tick(2)


@workflow
async def gated_between(gate: str, before: int, after: int) -> int:
    total = sum([await async_tick(n) for n in range(before)])
    await async_pass_gate(gate)
    return total + sum([await async_tick(n) for n in range(after)])


@workflow
async def gate_first(gate: str) -> int:
    await async_pass_gate(gate)
    await async_pass_gate(f"{gate}, again")
    return await async_tick(1)


@workflow(cleanup=30)
def saga() -> None:
    tick(1)
    try:
        pass_gate("gate")
        tick(2)
    except RunCancelled:
        tick(3)
        pass_gate("undo")
        tick(4)
        raise


@workflow(cleanup=30)
async def async_saga() -> None:
    await async_tick(1)
    try:
        await async_pass_gate("gate")
        await async_tick(2)
    except asyncio.CancelledError:
        await async_tick(3)
        await async_pass_gate("undo")
        await async_tick(4)
        raise


@workflow(cleanup=1)
async def late_saga() -> None:
    try:
        await async_pass_gate("gate")
    except asyncio.CancelledError:
        await async_pass_gate("undo")


@workflow
async def careless_saga() -> None:
    other = asyncio.create_task(asyncio.sleep(3600))
    try:
        await async_pass_gate("gate")
    finally:
        other.cancel()
        with suppress(asyncio.CancelledError):
            await other
        await asyncio.sleep(3600)
        await async_tick(9)


@workflow
def stubborn() -> None:
    """Does not end between its steps."""
    with suppress(BaseException):
        pass_gate("gate")
        tick(1)
    (FOLDER / "turns").touch()
    while not is_open("let go"):
        time.sleep(0.05)


@step
def die() -> None:
    note("dies")
    os.kill(os.getpid(), signal.SIGKILL)


@workflow
def poison() -> None:
    die()


@step
def hold_interpreter(seconds: int) -> None:
    note("holds")
    # Called without giving up the interpreter: no other thread of this process runs meanwhile.
    ctypes.PyDLL(None).sleep(seconds)


@workflow
def greedy(seconds: int) -> str:
    hold_interpreter(seconds)
    return "done"


@workflow
def logging_one() -> None:
    logging.getLogger("flows").warning("between steps")
    log()


@step
def log() -> None:
    logging.getLogger("flows").warning("in a step")


@step(database=True)
def book(pause: float = 0.0) -> None:
    step_context().connection.execute("SELECT pg_sleep(%s)", [pause])


@step(database=True)
async def async_book(pause: float = 0.0) -> None:
    await step_context().connection.execute("SELECT pg_sleep(%s)", [pause])


@workflow
def booking(gate: str) -> None:
    book()
    pass_gate(gate)
    book()


@workflow
async def async_booking(gate: str) -> None:
    await asyncio.gather(*(async_book() for _ in range(5)))
    await async_pass_gate(gate)
    await async_book()


@workflow
async def long_booking(pause: float) -> None:
    await async_book(pause)


@step(database=True)
def idle_in_transaction(gate: str) -> None:
    # What such a body has for a limit without a timeout of its own: a minute.
    step_context().connection.execute("SET idle_in_transaction_session_timeout = '1s'")
    note("idle")
    while not is_open(gate):
        time.sleep(0.01)


@workflow
def idling(gate: str) -> None:
    idle_in_transaction(gate)


@step(database=True)
def set_something() -> None:
    step_context().connection.execute("SET search_path = elsewhere")


@step(database=True)
def look_at_something() -> str:
    [(path,)] = step_context().connection.execute("SHOW search_path").fetchall()
    return str(path)


@workflow
def setting() -> str:
    set_something()
    return look_at_something()


@workflow
def looking() -> str:
    return look_at_something()


@workflow
def pooled(gate: str) -> int:
    with perdure.ThreadPoolExecutor(2) as pool:
        ticks = list(pool.map(tick, range(4)))
    pass_gate(gate)
    return tick(sum(ticks))


@workflow
def too_late(gate: str) -> str:
    with perdure.ThreadPoolExecutor(1) as pool:
        future = pool.submit(slow_tick, 1, 0.5)
        try:
            future.result(timeout=0.1)
            word = "in time"
        except TimeoutError:
            word = f"late {tick(2)}"
    pass_gate(gate)
    return f"{word} {future.result()}"


@step
def slow_tick(number: int, pause: float) -> int:
    time.sleep(pause)
    note("tick")
    return number


@workflow
async def leaves_a_generator(gate: str) -> int:
    closed: list[int] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(5):
                yield await async_tick(number)
        finally:
            closed.append(await async_tick(100))

    total = 0
    async for number in numbers():
        total += number
        if number == 2:
            break
    total += await async_tick(10, 0.5)
    await async_pass_gate(gate)
    return total + sum(closed)


@workflow
async def computes_in_threads(gate: str) -> int:
    async def one(number: int) -> int:
        return await async_tick(await asyncio.to_thread(_pure, number))

    total = sum(await asyncio.gather(*(one(number) for number in range(3))))
    await async_pass_gate(gate)
    return total


def _pure(number: int) -> int:
    time.sleep(0.2)
    return number
