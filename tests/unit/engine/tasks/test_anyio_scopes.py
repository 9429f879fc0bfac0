"""Programs that use anyio do in a run what they do outside of one, killed at every checkpoint and in every step."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from perdure import step, workflow
from perdure.testing import DurableRun, kills


@step
async def quick(value: str) -> str:
    await asyncio.sleep(0.002)
    return value


@step
async def slow(value: str) -> str:
    await asyncio.sleep(30)
    return value


@step
async def broken(value: str) -> str:
    raise LookupError(value)


@step
def at_once(value: str) -> str:
    return value


@workflow
async def moves_on() -> list[str]:
    seen = []
    with anyio.move_on_after(0.05) as scope:
        seen.append(await quick("before"))
        await slow("never")
        seen.append("never")
    seen.append(f"caught {scope.cancelled_caught}")
    return [*seen, await quick("after"), at_once("end")]


@workflow
async def fails_after() -> list[str]:
    seen = []
    try:
        with anyio.fail_after(0.02):
            await slow("never")
    except TimeoutError:
        seen.append("timed out")
    with anyio.fail_after(30):
        seen.append(await quick("in time"))
    return seen


@workflow
async def sleeps_in_scopes() -> list[str]:
    seen = []
    for n in range(3):
        with anyio.move_on_after(0.02 * n):
            await anyio.sleep(0.03)
            seen.append(f"slept {n}")
        seen.append(await quick(str(n)))
    return seen


@workflow
async def cancels_a_group() -> list[str]:
    seen = []

    async def one(name: str) -> None:
        try:
            await slow(name)
        finally:
            seen.append(f"{name} out")
            with anyio.CancelScope(shield=True):
                seen.append(await quick(f"{name} cleaned"))

    async with anyio.create_task_group() as group:
        for name in ("a", "b", "c", "d", "e"):
            group.start_soon(one, name)
        seen.append(await quick("body"))
        group.cancel_scope.cancel()
    return [*seen, await quick("after")]


@workflow
async def waits_again_in_a_cancelled_scope() -> list[str]:
    """What is awaited in a cancelled scope is cancelled again, be it a step, a sleep or an event."""
    seen = []
    with anyio.move_on_after(0.02):
        try:
            await slow("never")
        finally:
            for again in (lambda: quick("step"), lambda: anyio.sleep(0.001), lambda: anyio.Event().wait()):
                try:
                    await again()
                    seen.append("went on")
                except asyncio.CancelledError:
                    seen.append("cancelled again")
    return [*seen, await quick("after")]


@workflow
async def group_fails() -> list[str]:
    seen = []

    async def one() -> None:
        try:
            await slow("never")
        except asyncio.CancelledError:
            seen.append("sibling cancelled")
            raise

    async def other() -> None:
        await broken("why")

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(one)
            group.start_soon(other)
    except* LookupError as errors:
        seen.append(repr(errors.exceptions[0].args))
    return [*seen, await quick("after")]


@workflow
async def nested_scopes() -> list[str]:
    seen = []
    with anyio.move_on_after(0.05) as outer:
        with anyio.move_on_after(0.01) as inner:
            await slow("never")
        seen.append(f"inner {inner.cancelled_caught}")
        with anyio.CancelScope(shield=True):
            seen.append(await quick("shielded"))
        with anyio.move_on_after(20) as late:
            await slow("never")
        seen.append(f"late {late.cancelled_caught}")
    seen.append(f"outer {outer.cancelled_caught}")
    return [*seen, await quick("after")]


@workflow
async def streams() -> list[str]:
    seen = []
    send, receive = anyio.create_memory_object_stream[str](1)

    async def produce(mine: Any, names: str) -> None:
        async with mine:
            for name in names:
                await mine.send(await quick(name))

    async with anyio.create_task_group() as group:
        group.start_soon(produce, send.clone(), "abc")
        group.start_soon(produce, send.clone(), "xyz")
        send.close()
        async with receive:
            async for item in receive:
                seen.append(item)
                with anyio.move_on_after(1):
                    seen.append(await quick(item.upper()))
    return seen


@workflow
async def starts_with_a_status() -> list[str]:
    seen = []
    limiter = anyio.CapacityLimiter(1)

    async def serve(name: str, *, task_status: Any) -> None:
        async with limiter:
            task_status.started(await quick(f"{name} ready"))
        try:
            await anyio.sleep_forever()
        finally:
            seen.append(f"{name} stopped")

    async with anyio.create_task_group() as group:
        seen.append(await group.start(serve, "one"))
        seen.append(await group.start(serve, "two"))
        group.cancel_scope.cancel()
    return [*seen, await quick("after")]


@workflow
async def cancelled_from_outside() -> list[str]:
    """A plain cancellation of the task is none of the scope's."""
    seen = []

    async def scoped() -> None:
        with anyio.move_on_after(30) as scope:
            try:
                await slow("never")
            except asyncio.CancelledError as error:
                seen.append(f"{error.args}")
                raise
        seen.append(f"went on {scope.cancelled_caught}")

    task = asyncio.create_task(scoped())
    seen.append(await quick("first"))
    task.cancel("by hand")
    await asyncio.wait({task})
    return [*seen, str(task.cancelled()), await quick("after")]


PROGRAMS = [
    moves_on,
    fails_after,
    sleeps_in_scopes,
    cancels_a_group,
    waits_again_in_a_cancelled_scope,
    group_fails,
    nested_scopes,
    streams,
    starts_with_a_status,
    cancelled_from_outside,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.definition.function.__name__)
def test_does_in_a_run_what_it_does_outside(program: Any) -> None:
    expected = DurableRun(program).result()
    # Outside, a cancelled scope reaches its tasks in no order.
    assert sorted(expected) == sorted(asyncio.run(program()))
    for run in kills(program):
        assert run.result() == expected, run.attempts
        assert run.replay().executed == []
