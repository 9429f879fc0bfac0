"""Questions asked at the same time: how few are sent, and that each gets an answer that is newer than itself."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from perdure_operator.store.batching import BatchLoader


def asynchronous(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


class Store:
    """Answers with how many questions had been sent; waits to be let go."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gates: list[asyncio.Future[None]] = []

    async def ask(self, keys: Sequence[int]) -> dict[int, int]:
        number = len(self.asked)
        self.asked.append(list(keys))
        gate = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate
        return dict.fromkeys(keys, number)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@asynchronous
async def test_what_is_asked_in_one_turn_goes_out_as_one_and_the_rest_when_one_is_answered() -> None:
    store = Store()
    loader = BatchLoader(store.ask, most=3, flights=2)
    calls = [asyncio.ensure_future(loader.load(key)) for key in (1, 2)]
    await settle()
    assert store.asked == [[1, 2]]
    calls += [asyncio.ensure_future(loader.load(key)) for key in (3,)]
    await settle()
    assert store.asked == [[1, 2], [3]]
    calls += [asyncio.ensure_future(loader.load(key)) for key in (1, 4, 1, 5, 6)]
    await settle()
    assert len(store.asked) == 2, "as many as may be are under way"
    store.gates[1].set_result(None)
    await settle()
    assert store.asked[2:] == [[1, 4, 5]]
    store.gates[0].set_result(None)
    await settle()
    assert store.asked[3:] == [[6]]
    for gate in store.gates[2:]:
        gate.set_result(None)
    assert await asyncio.gather(*calls) == [0, 0, 1, 2, 2, 2, 2, 3], "never by a question sent before it was asked"
    await loader.close()


@asynchronous
async def test_an_error_goes_to_all_who_asked_with_it_and_to_nobody_later() -> None:
    store = Store()
    loader = BatchLoader(store.ask)
    calls = [asyncio.ensure_future(loader.load(key)) for key in (1, 2)]
    await settle()
    store.gates[0].set_exception(LookupError("away"))
    assert [str(error) for error in await asyncio.gather(*calls, return_exceptions=True)] == ["away", "away"]
    again = asyncio.ensure_future(loader.load(1))
    await settle()
    store.gates[1].set_result(None)
    assert await again == 1


@asynchronous
async def test_who_is_cancelled_takes_nobody_along() -> None:
    store = Store()
    loader = BatchLoader(store.ask)
    gives_up, stays = (asyncio.ensure_future(loader.load(1)) for _ in range(2))
    await settle()
    gives_up.cancel()
    await settle()
    store.gates[0].set_result(None)
    assert await stays == 0
    assert gives_up.cancelled()


@asynchronous
async def test_closing_ends_every_wait() -> None:
    store = Store()
    loader = BatchLoader(store.ask, flights=1)
    calls = [asyncio.ensure_future(loader.load(1))]
    await settle()
    calls.append(asyncio.ensure_future(loader.load(2)))
    await settle()
    await loader.close()
    for call in calls:
        with pytest.raises(asyncio.CancelledError):
            await call
