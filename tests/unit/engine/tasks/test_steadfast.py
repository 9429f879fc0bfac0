"""A future that takes the cancellation of who waits for it, and lets it wait on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure.engine.tasks.steadfast import SteadfastFuture


class GivesWayTo(SteadfastFuture):
    """Ends at a cancellation with the message `end`, and notes the others."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[Any] = []

    def gives_way(self, msg: Any) -> bool:
        self.noted.append(msg)
        return bool(msg == "end")


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_the_task_waits_on_and_does_not_even_wake() -> None:
    async def main() -> None:
        future = SteadfastFuture()
        went_on: list[str] = []

        async def wait() -> None:
            try:
                await future
            finally:
                went_on.append("woke")

        task = asyncio.create_task(wait())
        await turns()
        assert task.cancel()
        assert task.cancel("again")
        await turns()
        assert (went_on, task.done(), future.done()) == ([], False, False)
        assert task.cancelling() == 2
        future.set_result(None)
        await task
        assert went_on == ["woke"]

    asyncio.run(main())


def test_one_that_is_done_takes_no_cancellation() -> None:
    async def main() -> None:
        future = SteadfastFuture()
        future.set_result(None)
        assert not future.cancel()
        assert not future.cancelled()

    asyncio.run(main())


def test_one_that_gives_way_ends_with_the_message() -> None:
    async def main() -> None:
        future = GivesWayTo()

        async def wait() -> None:
            await future

        task = asyncio.create_task(wait())
        await turns()
        task.cancel("stay")
        await turns()
        assert not task.done()
        task.cancel("end")
        with pytest.raises(asyncio.CancelledError, match="end"):
            await task
        assert (future.noted, future.cancelled()) == (["stay", "end"], True)
        future.cancel("end")
        assert future.noted == ["stay", "end"], "it is done, and is not asked again"

    asyncio.run(main())
