"""Tasks that asyncio creates by itself are told from those that a program creates."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from types import FrameType
from typing import Any

from perdure.engine.tasks.task_origin import origin_of_task


async def nothing() -> None:
    await asyncio.sleep(0)


class Loop(asyncio.SelectorEventLoop):
    """Asks who creates a task, as the engine's loop does."""

    def __init__(self) -> None:
        super().__init__()
        self.origins: list[tuple[str | None, FrameType | None]] = []

    def create_task(self, coro: Any, **options: Any) -> Any:
        self.origins.append(origin_of_task())
        return super().create_task(coro, **options)


def found(program: Coroutine[Any, Any, object]) -> list[tuple[str | None, FrameType | None]]:
    """Where the tasks come from that a program makes."""
    loop = Loop()
    try:
        loop.run_until_complete(program)
    finally:
        loop.close()
    return loop.origins[1:]  # the first is the program's


def origins(program: Coroutine[Any, Any, object]) -> list[str | None]:
    return [name for name, _ in found(program)]


async def created() -> None:
    await asyncio.create_task(nothing())


async def grouped() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(nothing())


async def gathered() -> None:
    await asyncio.gather(nothing(), nothing())


async def as_completed() -> None:
    for one in asyncio.as_completed([nothing(), nothing()]):
        await one


async def in_time() -> None:
    await asyncio.wait_for(nothing(), 10)


async def wait_for() -> None:
    """A program may have one of its own."""
    await asyncio.create_task(nothing())


def test_tasks_that_a_program_creates_are_its_own() -> None:
    assert origins(wait_for()) == [None]
    assert origins(created()) == [None]
    assert origins(grouped()) == [None]
    assert origins(gathered()) == [None, None]


def test_those_of_as_completed_are_asyncios() -> None:
    assert origins(as_completed()) == ["as_completed", "as_completed"]


def test_that_of_wait_for_is_asyncios_where_it_makes_one() -> None:
    assert origins(in_time()) == (["wait_for"] if sys.version_info < (3, 12) else [])


def test_the_frame_is_that_of_the_function() -> None:
    frames = [frame for _, frame in found(as_completed())]
    assert len(frames) == 2
    assert all(frame is not None and "s_completed" in frame.f_code.co_qualname for frame in frames)
    assert found(created()) == [(None, None)]
