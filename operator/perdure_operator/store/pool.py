"""A small pool of connections to the store. Each statement has a time limit, and may be sent a second time.

All statements are idempotent. A connection that broke, for example by a restart of the server, is detected by the next
statement on it, which is then sent again over a new connection. So a restart fails no statement that comes after it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from perdure.errors import StoreError, StoreUnavailable
from perdure.store.postgres.connection import Fault, classify, conninfo, translated
from perdure.store.postgres.statements import statement
from perdure.store.schema.versions import check_versions

__all__ = ["ConnectionPool", "Identity", "Row", "RowLocked", "query", "within"]

Row = dict[str, Any]

_PREPARE_AFTER = 5
"""Uses of a statement on a connection after which it is prepared: planning takes a third of its time."""

_Connection = psycopg.AsyncConnection[Row]


class RowLocked(StoreError):
    """Another transaction holds a lock on the row."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of a store: its id, and that of its database system."""

    store_id: UUID
    system: str


def query(name: str) -> str:
    """The operator's statement of this name, else the library's."""
    return statement(name, __package__)


class ConnectionPool:
    """Up to `size` connections, made when needed.

    Attributes:
        identity: of the store, as of the newest connection.
    """

    def __init__(self, url: str, *, size: int = 1, application_name: str = "perdure operator") -> None:
        self._conninfo = conninfo(url, application_name)
        self._places = asyncio.Semaphore(size)
        self._idle: list[_Connection] = []
        self._closed = False
        self.identity: Identity | None = None

    async def close(self) -> None:
        """Close the idle connections; the others are closed when they are put back."""
        self._closed = True
        await self._drop_idle()

    async def rows(self, name: str, parameters: Mapping[str, object], doing: str, limit: float) -> Sequence[Row]:
        """Execute a named statement within `limit` seconds. Returns its rows.

        Raises:
            RowLocked: a row was locked for longer than the statement's lock timeout.
            StoreUnavailable: no answer in time.
            SchemaMismatch: this operator and the schema do not work together.
            StoreError: the store refuses.
        """
        loop = asyncio.get_running_loop()
        ends = loop.time() + limit
        try:
            async with asyncio.timeout_at(ends):
                await self._places.acquire()
        except TimeoutError:
            raise StoreUnavailable(f"{doing}: all connections to the store were busy for {limit:g} s") from None
        try:
            return await self._rows(query(name), parameters, doing, ends)
        except TimeoutError:
            raise StoreUnavailable(f"{doing}: the store did not answer within {limit:g} s") from None
        except psycopg.Error as error:
            raise _raised(error, doing) from error
        finally:
            self._places.release()

    async def _rows(self, text: str, parameters: Mapping[str, object], doing: str, ends: float) -> Sequence[Row]:
        while True:
            used = bool(self._idle)
            connection = self._idle.pop() if used else await self._connect(doing, ends)
            try:
                rows = await within(connection, text, parameters, ends)
            except psycopg.Error as error:
                fault = _fault(error)
                if fault in (Fault.REFUSED, Fault.LOCKED):
                    await self._put_back(connection)
                    raise
                await _close(connection)
                if used and fault in (Fault.AWAY, Fault.STATEMENT_LOST):
                    # The same restart broke the other idle connections, or the same migration made their prepared
                    # statements invalid.
                    await self._drop_idle()
                    continue
                raise
            except BaseException:
                await _close(connection)
                raise
            await self._put_back(connection)
            return rows

    async def _connect(self, doing: str, ends: float) -> _Connection:
        async with asyncio.timeout_at(ends):
            connection = await psycopg.AsyncConnection.connect(
                self._conninfo, autocommit=True, prepare_threshold=None, row_factory=dict_row
            )
        try:
            [backend] = await within(connection, "SELECT pg_backend_pid() AS pid", {}, ends)
            # A pooler sends its clients an invented pid. Behind a pooler, prepared statements may end up on another
            # server connection, so they are used only without one.
            if backend["pid"] == connection.info.backend_pid:
                connection.prepare_threshold = _PREPARE_AFTER
            rows = await within(connection, query("identity"), {}, ends)
            if not rows:
                raise StoreUnavailable(f"{doing}: the store has no version yet: it is being migrated")
            [row] = rows
            check_versions(row["schema_version"], row["oldest_client"])
        except BaseException:
            await _close(connection)
            raise
        self.identity = Identity(row["store_id"], row["system"])
        return connection

    async def _put_back(self, connection: _Connection) -> None:
        if self._closed or connection.closed:
            await _close(connection)
        else:
            self._idle.append(connection)

    async def _drop_idle(self) -> None:
        while self._idle:
            await _close(self._idle.pop())


async def within(
    connection: _Connection, text: str | sql.Composed, parameters: Mapping[str, object], ends: float
) -> Sequence[Row]:
    """Execute on a connection until a time of the loop's clock. After that, or if cancelled, break the connection.

    Raises:
        TimeoutError: no answer by then.
        psycopg.Error
    """
    asked = asyncio.ensure_future(_fetch(connection, text, parameters))
    try:
        await asyncio.wait({asked}, timeout=max(0.0, ends - asyncio.get_running_loop().time()))
        if not asked.done():
            raise TimeoutError
    finally:
        if not asked.done():
            # Cancelling the task would send a cancel request and wait for the server, which may not respond either.
            _break_off(connection)
            await asyncio.wait({asked})
            asked.exception()
    return asked.result()


async def _fetch(connection: _Connection, text: str | sql.Composed, parameters: Mapping[str, object]) -> Sequence[Row]:
    cursor = await connection.execute(text, parameters)
    return await cursor.fetchall() if cursor.description else []


def _break_off(connection: _Connection) -> None:
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as shared:
        shared.shutdown(socket.SHUT_RDWR)


async def _close(connection: _Connection) -> None:
    with suppress(psycopg.Error):
        await connection.close()


def _fault(error: psycopg.Error) -> Fault:
    if isinstance(error, psycopg.DataError):
        return Fault.REFUSED  # also raised before sending, for example for a text with a NUL
    return classify(error.sqlstate)


def _raised(error: psycopg.Error, doing: str) -> StoreError:
    fault = _fault(error)
    if fault is Fault.LOCKED:
        return RowLocked(f"{doing}: another transaction holds a lock on the row")
    if fault is Fault.REFUSED:
        return StoreError(f"{doing}: the store does not take this ({str(error).strip().partition(chr(10))[0]})")
    return translated(error, doing)
