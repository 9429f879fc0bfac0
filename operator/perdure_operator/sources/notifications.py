"""Listens to the store's notifications about the owner's runs, over its own connection without a pooler in between.

Notifications that are sent while the connection is broken are lost. `missed` is called after each new connection, so
that all runs are compared. Notifications only save time: the resync would find every change without them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from perdure.pauses import Pauses
from perdure.store.postgres.connection import conninfo, translated

from ..store.pool import query, within

__all__ = ["NotificationListener"]

_log = logging.getLogger("perdure.operator.listen")

_PAUSES = Pauses(0.05, 5.0)

_CHECK = 30.0
"""Seconds without a notification after which the connection is tested, and the names of the channels are compared."""

_LIMIT = 10.0
"""Time limit in seconds for connecting, and for each response."""


class NotificationListener:
    """Listens on the channels for work and for ends of runs.

    Args:
        direct_url: of the store, without a pooler in between.
        owner: of the runs.
        notified: called with the runs of which notifications arrived.
        missed: called when listening begins, first and after each interruption.
        check: seconds without a notification after which the connection is tested.
    """

    def __init__(
        self,
        direct_url: str,
        owner: str,
        notified: Callable[[Sequence[UUID]], None],
        missed: Callable[[], None],
        *,
        check: float = _CHECK,
    ) -> None:
        self._conninfo = conninfo(direct_url, "perdure operator (listens)")
        self._owner = owner
        self._notified = notified
        self._missed = missed
        self._check = check
        self.listening = False

    async def run(self) -> None:
        """Listen until cancelled."""
        failures = 0
        while True:
            since = time.monotonic()
            try:
                await self._listen()
            except (psycopg.Error, TimeoutError) as error:
                if self.listening or failures == 0:
                    _log.warning("no notifications about runs for now, only periodic comparisons: %s", _text(error))
            finally:
                listened, self.listening = self.listening, False
            if listened and time.monotonic() - since > _PAUSES.longest:
                failures = 0
            failures += 1
            await asyncio.sleep(_PAUSES.after(failures))

    async def _listen(self) -> None:
        async with asyncio.timeout(_LIMIT):
            connection = await psycopg.AsyncConnection.connect(
                self._conninfo, autocommit=True, prepare_threshold=None, row_factory=dict_row
            )
        try:
            channels = await self._channels(connection)
            for channel in channels:
                await within(connection, sql.SQL("LISTEN {}").format(sql.Identifier(channel)), {}, _soon())
            self.listening = True
            self._missed()
            while True:
                if not await self._next(connection) and await self._channels(connection) != channels:
                    # The database now has another store, whose channels have other names.
                    return
        finally:
            with suppress(psycopg.Error):
                await connection.close()

    async def _next(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """Pass on the next notification and those that arrived with it. False if none came within `check` seconds."""
        runs: list[UUID] = []
        came = False
        async for note in connection.notifies(timeout=self._check, stop_after=1):
            came = True
            # Every login that knows the channel's name can send any text.
            with suppress(ValueError):
                runs.append(UUID(note.payload))
        if runs:
            self._notified(runs)
        return came

    async def _channels(self, connection: psycopg.AsyncConnection[Any]) -> tuple[str, str]:
        [row] = await within(connection, query("channels"), {"owner": self._owner}, _soon())
        if row["work"] is None:
            raise psycopg.OperationalError("the store has no identity yet: it is being migrated")
        return row["work"], row["done"]


def _soon() -> float:
    return asyncio.get_running_loop().time() + _LIMIT


def _text(error: Exception) -> str:
    return str(translated(error, "listen") if isinstance(error, psycopg.Error) else "no answer in time")
