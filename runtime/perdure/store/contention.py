"""Statements that may meet somebody's lock: waited for as long as a lease; then its holder is reported and ended.

A process that was paused, or cut off, in an open transaction holds its locks for as long as it likes. The fence keeps
what it does from harm, and this keeps it from holding up whoever goes on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from contextvars import Context
from typing import Any

import psycopg

from .connection import connect, translated
from .statements import statement

__all__ = ["execute_patiently"]

_log = logging.getLogger("perdure.store")


def execute_patiently(url: str, text: str, parameters: Mapping[str, Any], *, lease: float, doing: str) -> list[Any]:
    """Execute a statement on a connection of its own. Returns its rows.

    Raises:
        StoreUnavailable: no answer, or the lock is still held after three leases.
        StoreError: the store refuses.
    """
    try:
        with connect(url) as connection, connection.transaction():
            cursor = connection.execute(statement("wait_for_lock"), {"timeout": f"{int(lease * 3000)}ms"})
            pid = (cursor.fetchone() or (None, 0))[1]
            timer = threading.Timer(lease, _end_blockers, (url, pid, lease, doing))
            timer.daemon = True
            # Its context is empty: no run's code starts this thread.
            Context().run(timer.start)
            try:
                return connection.execute(text, parameters).fetchall()
            finally:
                timer.cancel()
    except psycopg.Error as error:
        raise translated(error, doing) from error


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
