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
    """The store's new id, and the attempts that lost their runs.

    Attributes:
        store_id: the store's new id.
        superseded: how many attempts held a run when the backup was taken, and do not any more.
    """

    store_id: UUID
    superseded: int


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
            return RestoredReport(row[0], connection.execute(statement("supersede_all")).rowcount)
    except psycopg.Error as error:
        raise translated(error, "mark the store as restored") from error
