"""Marks a store as restored from a backup, so that no Workflow goes on by itself without the steps that were lost.

A backup looks like the store of which it was taken. It lacks all later steps, and a Workflow's status may not have
counted them yet. With another id it is another store, and then a Workflow waits for a person to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import psycopg

from ..postgres.connection import translated
from ..postgres.statements import statement
from ..schema.checked_connection import open_checked

__all__ = ["RestoredReport", "mark_restored"]


@dataclass(frozen=True, slots=True)
class RestoredReport:
    """The store's new id, the attempts that lost their runs, and the logins that it knows no namespace of.

    Attributes:
        store_id: the store's new id.
        superseded: how many attempts held a run when the backup was taken, and do not any more.
        unbound: logins of pods in no row of `perdure.logins`; each begins the runs of all namespaces without a login of
            their own. One that was bound after the backup was taken is among them.
    """

    store_id: UUID
    superseded: int
    unbound: tuple[str, ...]


def mark_restored(url: str) -> RestoredReport:
    """Give a store a new id, and end each attempt that holds a run in it, so that its processes write no more.

    Raises:
        StoreUnavailable: no connection.
        SchemaMismatch: there is no schema, or another one.
        StoreError: the role of `url` is not the schema's owner.
    """
    try:
        with open_checked(url) as connection, connection.transaction():
            row = connection.execute(statement("renew_store_id")).fetchone()
            assert row is not None, "the versions were read from it"
            assert isinstance(row[0], UUID)
            superseded = connection.execute(statement("supersede_all")).rowcount
            unbound = connection.execute(statement("unbound_logins")).fetchall()
            return RestoredReport(row[0], superseded, tuple(str(login) for (login,) in unbound))
    except psycopg.Error as error:
        raise translated(error, "mark the store as restored") from error
