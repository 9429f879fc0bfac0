"""Hears of the owner's runs as the store notifies of them, over a connection of its own, without a pooler in between.

What is notified while nobody listens is lost: whoever is told `missed` looks at all runs. Nothing depends on hearing.
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
"""Seconds of silence after which a connection is tried, and its channels are compared with what they should be."""

_LIMIT = 10.0
"""Seconds in which a connection is made, or answers."""


class NotificationListener:
    """Listens on the channels of work and of endings.

    Args:
        direct_url: of the store, with no pooler in between.
        owner: whose runs.
        heard: is given the runs that were notified.
        missed: is called when it begins to listen, first and after each interruption.
        check: seconds of silence after which the connection is tried.
    """

    def __init__(
        self,
        direct_url: str,
        owner: str,
        heard: Callable[[Sequence[UUID]], None],
        missed: Callable[[], None],
        *,
        check: float = _CHECK,
    ) -> None:
        self._conninfo = conninfo(direct_url, "perdure operator (listens)")
        self._owner = owner
        self._heard = heard
        self._missed = missed
        self._check = check
        self.listening = False

    async def run(self) -> None:
        """Listen, until cancelled."""
        failures = 0
        while True:
            since = time.monotonic()
            try:
                await self._listen()
            except (psycopg.Error, TimeoutError) as error:
                if self.listening or failures == 0:
                    _log.warning("not notified of runs for now, only looking for them now and then: %s", _text(error))
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
                if not await self._hear(connection) and await self._channels(connection) != channels:
                    # Another store in the same database: its channels have other names.
                    return
        finally:
            with suppress(psycopg.Error):
                await connection.close()

    async def _hear(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """Pass on what comes first, and what has come with it; False if nothing does for a while."""
        runs: list[UUID] = []
        came = False
        async for note in connection.notifies(timeout=self._check, stop_after=1):
            came = True
            # Who knows the channel's name can notify anything.
            with suppress(ValueError):
                runs.append(UUID(note.payload))
        if runs:
            self._heard(runs)
        return came

    async def _channels(self, connection: psycopg.AsyncConnection[Any]) -> tuple[str, str]:
        [row] = await within(connection, query("channels"), {"owner": self._owner}, _soon())
        if row["work"] is None:
            raise psycopg.OperationalError("the store says nothing of itself: it is being migrated")
        return row["work"], row["done"]


def _soon() -> float:
    return asyncio.get_running_loop().time() + _LIMIT


def _text(error: Exception) -> str:
    return str(translated(error, "listen") if isinstance(error, psycopg.Error) else "no answer in time")
