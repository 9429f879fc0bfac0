"""Transactions that change the server's roles and what they may do, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from ...errors import StoreError
from ..postgres.connection import translated
from .checked_connection import open_checked

__all__ = ["Connection", "changing", "set_password", "told"]

Connection = psycopg.Connection[tuple[object, ...]]


@contextmanager
def changing(url: str, doing: str) -> Iterator[Connection]:
    """One transaction, which others that change logins wait for: roles of a server take no two changes at a time.

    Raises:
        StoreUnavailable, SchemaMismatch
        StoreError: the login of `url` may not do this.
    """
    try:
        with open_checked(url) as connection, connection.transaction():
            # A login may hold its own role locked for as long as it likes, and with it those who wait behind this one.
            connection.execute("SET LOCAL lock_timeout = '5s'")
            connection.execute("LOCK TABLE perdure.logins IN SHARE ROW EXCLUSIVE MODE")
            yield connection
    except psycopg.Error as error:
        raise told(error, doing) from error


def set_password(connection: Connection, login: str, password: str) -> None:
    """Let a role log in by a password, hashed here: no statement, and so no log of the server, holds one."""
    hashed = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    change = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")
    connection.execute(change.format(sql.Identifier(login), sql.Literal(hashed)))


def told(error: psycopg.Error, doing: str) -> StoreError:
    """The error that a person reads for one of the driver, which happened while `doing` something to logins."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return StoreError(
            f"{doing}: the login of this URL may not ({error.diag.message_primary}): it takes the owner of the schema,"
            " with CREATEROLE, the right to grant the pods' role, and pg_signal_backend to end sessions"
        )
    return translated(error, doing)
