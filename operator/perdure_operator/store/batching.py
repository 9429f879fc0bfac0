"""Batches concurrent lookups into one query (a data loader).

A single lookup is not delayed: there is no timer. While the permitted number of queries is running, further lookups
wait; when a query ends, one query for all of them starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

__all__ = ["BatchLoader"]

K = TypeVar("K", bound=Hashable)
A = TypeVar("A")


class BatchLoader(Generic[K, A]):
    """Looks up single keys by a function that looks up many. A result is never older than the call that returns it.

    Args:
        load: returns the result for each of the given keys, or raises.
        most: how many keys one query has at most.
        flights: how many queries may run at a time.
    """

    def __init__(
        self, load: Callable[[Sequence[K]], Awaitable[Mapping[K, A]]], *, most: int = 100, flights: int = 2
    ) -> None:
        self._load = load
        self._most = most
        self._flights = flights
        self._waiting: dict[K, asyncio.Future[A]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def load(self, key: K) -> A:
        """The result for one key.

        Raises:
            Exception: any error of the query that had this key.
        """
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        self._set_out()
        # Other callers may wait for the same future: it must not be cancelled with this caller.
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Cancel all lookups."""
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
        # Taken here, not when the task was made: lookups from the same iteration of the loop are included.
        keys = list(self._waiting)[: self._most]
        futures = {key: self._waiting.pop(key) for key in keys}
        try:
            results = await self._load(keys) if keys else {}
        except asyncio.CancelledError:
            for future in futures.values():
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 it is raised in all callers
            for future in futures.values():
                if not future.done():
                    future.set_exception(error)
                    future.exception()  # marks it as read: all callers may have been cancelled
        else:
            for key, future in futures.items():
                if not future.done():
                    future.set_result(results[key])
