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
    connection = connect(url, "perdure client")
    try:
        with connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(statement("versions")).fetchone() or {"schema_version": 0, "oldest_client": 0}
        check_versions(row["schema_version"], row["oldest_client"])
    except BaseException:
        connection.close()
        raise
    return connection


def schema_is_current(url: str) -> bool:
    """Whether a database has this release's schema or one of a newer release that serves this one, too.

    It is found out without what migrating needs.

    Raises:
        StoreUnavailable: no connection.
    """
    try:
        with open_checked(url) as connection:
            row = connection.execute(statement("versions")).fetchone()
    except SchemaMismatch:
        return False
    except psycopg.Error as error:
        if isinstance(raised := translated(error, "look at the schema"), SchemaMismatch):
            return False
        raise raised from error
    return row is not None and isinstance(row[0], int) and row[0] >= SCHEMA_VERSION
