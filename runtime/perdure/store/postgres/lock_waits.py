"""Statements that may meet another session's lock: they wait for a lease; then the holder is reported and ended.

A process that was paused, or cut off, in an open transaction holds its locks without end. The fence makes its writes
harmless, and this module keeps its locks from holding up the next attempt.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

import psycopg

from ...owned_thread import OwnedThread
from .connection import connect, translated
from .statements import statement

__all__ = ["execute_patiently"]

_log = logging.getLogger("perdure.store")

_LEAST = 0.05
"""Seconds for which a lock is waited for in any case: it may be another holder's by now."""


def execute_patiently(
    url: str, text: str, parameters: Mapping[str, Any], *, lease: float, doing: str, waited: float = 0.0
) -> list[Any]:
    """Execute a statement on a connection of its own, and on another one end who holds it up. Returns its rows.

    Args:
        url: of the store.
        text: the statement.
        parameters: its parameters.
        lease: seconds for which a lock is waited for before its holder is ended.
        doing: what for, for people.
        waited: seconds that the lock has been waited for already.

    Raises:
        StoreUnavailable: no answer, or the lock is still held after three leases.
        StoreError: the store refuses.
    """
    try:
        with connect(url) as connection, connection.transaction():
            cursor = connection.execute(statement("wait_for_lock"), {"timeout": f"{int(lease * 3000)}ms"})
            pid = (cursor.fetchone() or (None, 0))[1]
            done = threading.Event()

            def end_blockers() -> None:
                if not done.wait(max(_LEAST, lease - waited)):
                    _end_blockers(url, pid, lease, doing)

            OwnedThread(end_blockers, name="perdure-lock-holder", died=_not_ended).start()
            try:
                return connection.execute(text, parameters).fetchall()
            finally:
                done.set()
    except psycopg.Error as error:
        raise translated(error, doing) from error


def _not_ended(error: BaseException) -> None:
    # The statement that waits for the lock has a limit of its own.
    _log.error("the holder of a lock could not be ended", exc_info=error)


def _end_blockers(url: str, pid: object, lease: float, doing: str) -> None:
    try:
        with connect(url) as connection:
            for blocker, application, state, query in connection.execute(
                statement("blockers"), {"pid": pid}
            ).fetchall():
                _log.warning(
                    "%s: waited %g s for a lock that backend %s holds (%s, %s: %.200s); ending that backend",
                    *(doing, lease, blocker, application, state, query),
                )
                connection.execute(statement("end_backend"), {"pid": blocker})
    except psycopg.Error as error:
        _log.warning("%s: waiting for a lock, and its holder cannot be ended: %s", doing, str(error).strip())
