"""Questions that are asked at the same time are asked together, as one.

A lone question pays nothing for that: there is no timer. What comes while as many are under way as may be waits for the
first of them to be answered, and goes out with all else that has come by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

__all__ = ["BatchLoader"]

K = TypeVar("K", bound=Hashable)
A = TypeVar("A")


class BatchLoader(Generic[K, A]):
    """Answers to single keys, by a function that answers to many; the answer is never older than the question.

    Args:
        ask: answers to each of the keys it is given, or raises.
        most: keys to ask for at a time.
        flights: how many such questions may be under way.
    """

    def __init__(
        self, ask: Callable[[Sequence[K]], Awaitable[Mapping[K, A]]], *, most: int = 100, flights: int = 2
    ) -> None:
        self._ask = ask
        self._most = most
        self._flights = flights
        self._waiting: dict[K, asyncio.Future[A]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def answer(self, key: K) -> A:
        """The answer to one key.

        Raises:
            Exception: whatever `ask` raised for the keys with which this one went out.
        """
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        self._set_out()
        # Whoever else waits for it goes on waiting when this caller is cancelled.
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Give up what is under way."""
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _set_out(self) -> None:
        if self._waiting and len(self._under_way) < self._flights:
            task = asyncio.get_running_loop().create_task(self._fly())
            self._under_way.add(task)
            task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._set_out()

    async def _fly(self) -> None:
        # Taken here, not where the task was made: what else is asked for in the same turn of the loop comes along.
        keys = list(self._waiting)[: self._most]
        futures = {key: self._waiting.pop(key) for key in keys}
        try:
            answers = await self._ask(keys) if keys else {}
        except asyncio.CancelledError:
            for future in futures.values():
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 it goes to everybody who asked
            for future in futures.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # nobody may be left who waits for it
        else:
            for key, future in futures.items():
                if not future.done():
                    future.set_result(answers[key])
