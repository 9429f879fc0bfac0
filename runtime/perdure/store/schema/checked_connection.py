"""Connections that are opened only to a schema that this release works with."""

from __future__ import annotations

import psycopg
from psycopg.rows import dict_row

from ...errors import SchemaMismatch
from ..postgres.connection import connect, translated
from ..postgres.statements import statement
from .versions import SCHEMA_VERSION, check_versions

__all__ = ["open_checked", "schema_is_current"]


def open_checked(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect, and see that client and schema work together.

    Raises:
        SchemaMismatch: they do not.
        psycopg.Error: the server does not take the connection.
    """
    return _opened(url)[0]


def schema_is_current(url: str) -> bool:
    """Whether a database has this release's schema or one of a newer release that serves this one, too.

    It is found out without what migrating needs.

    Raises:
        StoreUnavailable: no connection.
    """
    try:
        connection, version = _opened(url)
        connection.close()
    except SchemaMismatch:
        return False
    except psycopg.Error as error:
        if isinstance(raised := translated(error, "look at the schema"), SchemaMismatch):
            return False
        raise raised from error
    return version >= SCHEMA_VERSION


def _opened(url: str) -> tuple[psycopg.Connection[tuple[object, ...]], int]:
    """As `open_checked`, with the schema's version."""
    connection = connect(url, "perdure client")
    try:
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(statement("versions")).fetchone() or {"schema_version": 0, "oldest_client": 0}
        check_versions(row["schema_version"], row["oldest_client"])
    except BaseException:
        connection.close()
        raise
    return connection, int(row["schema_version"])
