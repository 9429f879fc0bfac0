"""How a connection to the store is made, and what its errors mean.

Nothing here needs a session of its own behind a pooler: no advisory lock, no setting that must outlive a transaction.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from enum import StrEnum

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ...errors import SchemaMismatch, StoreError, StoreUnavailable, UsageError
from ...forks import close_in_children

__all__ = [
    "Fault",
    "classify",
    "connect",
    "conninfo",
    "database_url",
    "parameters_of",
    "storable",
    "translated",
    "with_defaults",
]

_TIMEOUTS = {
    "connect_timeout": "5",
    # A peer that is gone without a word is noticed in about 20 s, with data under way (tcp_user_timeout) or without.
    "tcp_user_timeout": "20000",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
}


_HOW = (
    "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, where @ in a password is written as %40, / as %2F, : as %3A and"
    " % as %25"
)


class Fault(StrEnum):
    """What to do about an error of the store."""

    AWAY = "away"
    """The fault may pass: connect anew and repeat the call."""

    LOCKED = "locked"
    """Another session holds a lock on the row: repeat the call, apart from all others."""

    STATEMENT_LOST = "statement lost"
    """A pooler has given the session with the prepared statement to another client: send it unprepared."""

    SINGLY = "singly"
    """One member of a batch fails the batch: send each alone."""

    REFUSED = "refused"
    """The value cannot be stored, ever."""

    UNUSABLE = "unusable"
    """Rights or schema are not as they must be."""


_BY_CODE = {
    "55P03": Fault.LOCKED,
    "PD001": Fault.SINGLY,
    "26000": Fault.STATEMENT_LOST,
    "42P05": Fault.STATEMENT_LOST,
    "0A000": Fault.STATEMENT_LOST,  # "cached plan must not change result type", after a migration
    "25006": Fault.AWAY,  # read-only: a standby, or a server that an administrator protects for a while
}
_BY_CLASS = {
    "22": Fault.REFUSED,
    "23": Fault.REFUSED,
    "54": Fault.REFUSED,
    "42": Fault.UNUSABLE,
    "3F": Fault.UNUSABLE,
    "28": Fault.UNUSABLE,
}


def classify(sqlstate: str | None) -> Fault:
    """Judge an error by its SQLSTATE; None is a connection that broke."""
    if sqlstate is None:
        return Fault.AWAY
    return _BY_CODE.get(sqlstate) or _BY_CLASS.get(sqlstate[:2], Fault.AWAY)


def translated(error: psycopg.Error, doing: str) -> StoreError:
    """The error that a person reads for an error of the driver, which happened while `doing` something."""
    message = str(error).strip().partition("\n")[0]
    if classify(error.sqlstate) is not Fault.UNUSABLE:
        return StoreUnavailable(f"{doing}: the store does not answer ({message})")
    if error.sqlstate in ("3F000", "42P01", "42883"):
        return SchemaMismatch(
            f"{doing}: this database has no Perdure schema, or an older one ({message}); run 'perdure migrate'"
        )
    return StoreError(f"{doing}: the store refuses ({message})")


def database_url(url: str | None = None) -> str:
    """The URL given, or the one of the environment.

    Raises:
        UsageError: there is neither.
    """
    url = url or os.environ.get("PERDURE_DATABASE_URL")
    if not url:
        raise UsageError(
            "no database: set PERDURE_DATABASE_URL to a Postgres URL, or pass one; with local=True the embedded"
            " database is used where none is given, as 'perdure run' and 'perdure worker' do"
        )
    return url


def conninfo(url: str, application_name: str = "perdure") -> str:
    """The URL with our time limits, where it sets none of its own.

    Raises:
        UsageError: it is no Postgres URL.
    """
    # Parameters are written as UTF-8, even if a role or an environment has another default.
    return with_defaults(url, {"application_name": application_name, **_TIMEOUTS}, client_encoding="UTF8")


def with_defaults(url: str, defaults: Mapping[str, str], **fixed: str) -> str:
    """Connection parameters for libpq: those of the URL, with `fixed`, and with `defaults` where the URL has none.

    Raises:
        UsageError: it is no Postgres URL.
    """
    given = parameters_of(url)
    return make_conninfo(url, **fixed, **{name: value for name, value in defaults.items() if name not in given})


def parameters_of(url: str) -> dict[str, str]:
    """What a Postgres URL, or libpq's other notation, says.

    Raises:
        UsageError: it says nothing that can be used. The message holds nothing of the URL: libpq quotes what it cannot
            read, and where a character of the password is not encoded that is a part of the password.
    """
    try:
        found = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error as error:
        what = str(error).strip().replace('"="', "=").partition('"')[0].rstrip(": ")
        # Nor does a traceback show what it was raised for.
        raise UsageError(f"the database URL cannot be read ({what}): {_HOW}") from None
    if not re.fullmatch(r"[0-9,]*", found.get("port", "")):
        raise UsageError(f"the database URL cannot be read (its port is no number): {_HOW}")
    # What libpq makes of a password with an @ or a / in it, for the places where it would tell of it later.
    others = [value for name, value in found.items() if name not in ("host", "password", "user")]
    if "@" in found.get("host", "")[1:] or ("user" not in found and any("@" in value for value in others)):
        raise UsageError(f"the database URL cannot be read (it has an @ too many, or a / before it): {_HOW}")
    return found


def connect(url: str, application_name: str = "perdure") -> psycopg.Connection[tuple[object, ...]]:
    """Open an autocommitting connection.

    Raises:
        psycopg.Error: the server does not take it.
    """
    connection = psycopg.connect(conninfo(url, application_name), autocommit=True, prepare_threshold=None)
    close_in_children(connection.pgconn)
    return connection


def storable(text: str | None) -> str | None:
    """Text for people, without what Postgres does not take in a text."""
    return text and text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
