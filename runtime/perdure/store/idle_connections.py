"""The connections that an attempt keeps from one database step to the next. Light to import: every attempt has it."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from .transactions import AsyncStepConnection, Connection, StepConnection

__all__ = ["IdleConnections"]

C = TypeVar("C", "StepConnection", "AsyncStepConnection")


class IdleConnections:
    """The connections of one attempt between two database steps: one of each kind at most."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._idle: dict[type, Connection] = {}
        self._closed = False

    def take(self, kind: type[C]) -> C | None:
        """A connection that was kept. Whether it still works shows when it is used."""
        with self._lock:
            kept = self._idle.pop(kind, None)
        if not isinstance(kept, kind):
            return None
        kept.wake()
        return kept

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next step, or close it where there is one already."""
        connection.rest()
        with self._lock:
            if not self._closed and not connection.lost and type(connection) not in self._idle:
                self._idle[type(connection)] = connection
                return
        connection.end()

    def close(self) -> None:
        """Close what is kept, and whatever is given back later."""
        with self._lock:
            self._closed = True
            kept = list(self._idle.values())
            self._idle.clear()
        for connection in kept:
            connection.end()
