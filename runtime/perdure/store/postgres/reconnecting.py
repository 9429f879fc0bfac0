"""A connection that is kept for named statements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from .connection import Fault, classify, connect
from .statements import statement

__all__ = ["ReconnectingConnection"]


class ReconnectingConnection:
    """One connection; made when a statement needs it, given up when the store seems away."""

    def __init__(self, url: str, application_name: str = "perdure") -> None:
        self._url = url
        self._application_name = application_name
        self._connection: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """End the connection; the next statement opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def execute(self, name: str, parameters: Mapping[str, object]) -> psycopg.Cursor[Any]:
        """Execute a named statement.

        Raises:
            psycopg.Error: of the connection or of the statement.
        """
        try:
            if self._connection is None:
                self._connection = connect(self._url, self._application_name)
            return self._connection.execute(statement(name), parameters)
        except psycopg.Error as error:
            # After a refused statement or a lock timeout the connection is still good.
            if classify(error.sqlstate) not in (Fault.UNUSABLE, Fault.REFUSED, Fault.LOCKED):
                self.close()
            raise
