"""Executes named statements in the store, each with a time limit. All are idempotent: they may be repeated on errors.

A statement that meets a locked row waits for the lock in a thread, so that it does not block a pooled connection. If
the lock lasts longer than a lease, the backend that holds it is terminated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final
from uuid import UUID

from perdure.errors import StoreUnavailable, UsageError
from perdure.store.attempts.checkpoint import LOCK_TIMEOUT
from perdure.store.postgres.lock_waits import execute_patiently

from .pool import ConnectionPool, Row, RowLocked, query

__all__ = ["OWNER_PREFIX", "StoreCalls", "answering_store"]

OWNER_PREFIX: Final = "cluster:"
"""The prefix of owners that are clusters; the schema has indices for them."""


class StoreCalls:
    """Executes named statements for one owner; `OperatorStore` describes the arguments."""

    def __init__(self, url: str, owner: str, *, lease: float, connections: int, limit: float) -> None:
        if not owner.startswith(OWNER_PREFIX):
            raise UsageError(f"{owner!r} is not the owner of a cluster: that begins with {OWNER_PREFIX!r}")
        self._url = url
        self._owner = owner
        self._lease = lease
        self._limit = limit
        self._connections = ConnectionPool(url, size=connections)
        self._aside = ThreadPoolExecutor(4, "perdure-locked")

    async def close(self) -> None:
        """End all connections."""
        self._aside.shutdown(wait=False, cancel_futures=True)
        await self._connections.close()

    async def read(
        self, name: str, parameters: Mapping[str, object], doing: str, limit: float | None = None
    ) -> Sequence[Row]:
        """Execute a statement, within `limit` seconds if they are given. Returns its rows."""
        return await self._connections.rows(name, {"owner": self._owner, **parameters}, doing, limit or self._limit)

    async def write(self, name: str, parameters: Mapping[str, object], doing: str) -> Any:
        """Change one run's row. Returns the first column of the first row that the statement returns."""
        try:
            rows = await self.read(name, {**parameters, "lock_timeout": f"{LOCK_TIMEOUT}ms"}, doing)
        except RowLocked:
            return await self._write_patiently(name, parameters, doing)
        return next(iter(rows[0].values())) if rows else None

    async def _write_patiently(self, name: str, parameters: Mapping[str, object], doing: str) -> Any:
        patience = {"lock_timeout": f"{int(self._lease * 3000)}ms", "owner": self._owner}
        call = partial(
            execute_patiently, self._url, query(name), {**parameters, **patience}, lease=self._lease, doing=doing
        )
        limit = 4 * self._lease + self._limit
        try:
            async with asyncio.timeout(limit):
                rows = await asyncio.get_running_loop().run_in_executor(self._aside, call)
        except TimeoutError:
            raise StoreUnavailable(f"{doing}: the row was locked, and nothing came of it in {limit:g} s") from None
        return rows[0][0] if rows else None


def answering_store(rows: Sequence[Row], doing: str) -> UUID:
    """The store that has answered with these rows.

    Raises:
        StoreUnavailable: it is being migrated.
    """
    if not rows:
        raise StoreUnavailable(f"{doing}: the store has no identity yet: it is being migrated")
    store_id: UUID = rows[0]["store_id"]
    return store_id
