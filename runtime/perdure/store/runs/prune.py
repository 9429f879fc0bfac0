"""Deleting many runs that have ended, in batches: what an administrator's schedule does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import psycopg
from sqlalchemy import Connection, delete, func, or_, select
from sqlalchemy.exc import DBAPIError

from ...errors import UsageError
from ..postgres.connection import translated
from ..schema.migrate import store_engine
from ..schema.tables import attempts, runs, steps
from .model import MANIFEST_OWNER, RunState, owner_of

__all__ = ["ENDED", "prune"]

ENDED = tuple(state for state in RunState if state.ended)


def prune(
    url: str,
    *,
    older_than: timedelta,
    states: Sequence[RunState] = ENDED,
    queue: str | None = None,
    batch: int = 1000,
) -> int:
    """Delete runs that ended longer ago, with their steps and attempts; how many there were.

    Each batch is a transaction of its own, so that no lock is held for long and an interrupted call keeps its finished
    batches. Several at once share the work.

    Args:
        url: of the database.
        older_than: since the run's end, by the server's clock.
        states: which endings; runs that have not ended are never pruned.
        queue: default: all queues, and manifests without a cluster. A cluster's runs live as long as their Workflow.
        batch: runs in a transaction.

    Raises:
        UsageError: a state that is no ending, or a batch of none.
        StoreUnavailable, SchemaMismatch
    """
    if unended := [state for state in states if state not in ENDED]:
        raise UsageError(f"{', '.join(unended)}: only runs that have ended can be pruned ({', '.join(ENDED)})")
    if batch < 1 or older_than < timedelta(0):
        raise UsageError("prune takes runs that ended in the past, at least one at a time")
    everyone = or_(runs.c.owner.startswith("queue:"), runs.c.owner == MANIFEST_OWNER)
    owned = everyone if queue is None else runs.c.owner == owner_of(queue)
    old = (
        select(runs.c.id)
        .where(owned, runs.c.state.in_([str(state) for state in states]), runs.c.finished <= func.now() - older_than)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    pruned = 0
    try:
        engine = store_engine(url)
        while True:
            with engine.begin() as connection:
                ids = connection.scalars(old).all()
                _delete(connection, ids)
            pruned += len(ids)
            if len(ids) < batch:
                return pruned
    except DBAPIError as error:
        if isinstance(error.orig, psycopg.Error):
            raise translated(error.orig, "prune runs") from error
        raise


def _delete(connection: Connection, ids: Sequence[object]) -> None:
    for table, column in ((steps, steps.c.run_id), (attempts, attempts.c.run_id), (runs, runs.c.id)):
        connection.execute(delete(table).where(column.in_(ids)))
