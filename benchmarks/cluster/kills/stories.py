"""Reads what the store and the notes have of the runs of a load."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import LiteralString

from psycopg.rows import DictRow

from tests.cluster.product.database import Store

from .load import Started
from .verdict import Story

__all__ = ["read"]

_BATCH = 100
_RUNS: LiteralString = """
    SELECT id AS run_id, state, attempt, claim, result, error, created, finished FROM perdure.runs
    WHERE id = ANY (%s::uuid[])
"""
_ATTEMPTS: LiteralString = """
    SELECT run_id, attempt, claimed, begun, ended, ending, code, signal, detail FROM perdure.attempts
    WHERE run_id = ANY (%s::uuid[]) ORDER BY run_id, attempt
"""
_CHECKPOINTS: LiteralString = """
    SELECT run_id, step_key, ordinal, name, attempt, result, error, finished FROM perdure.steps
    WHERE run_id = ANY (%s::uuid[]) ORDER BY run_id, ordinal
"""
_EXECUTIONS: LiteralString = "SELECT * FROM noted.executions WHERE run_id = ANY (%s::uuid[])"
_BOOKINGS: LiteralString = "SELECT * FROM noted.bookings WHERE run_id = ANY (%s::uuid[])"


def read(store: Store, started: Sequence[Started]) -> Iterator[Story]:
    """The stories of runs."""
    for first in range(0, len(started), _BATCH):
        batch = started[first : first + _BATCH]
        ids = [one.uid for one in batch]
        runs, attempts, checkpoints, executions, bookings = (
            _by_run(store.rows(statement, ids))
            for statement in (_RUNS, _ATTEMPTS, _CHECKPOINTS, _EXECUTIONS, _BOOKINGS)
        )
        for one in batch:
            yield Story(
                started=one,
                run=runs[one.uid][0] if runs[one.uid] else None,
                attempts=attempts[one.uid],
                checkpoints=checkpoints[one.uid],
                executions=executions[one.uid],
                bookings=[row["step_key"] for row in bookings[one.uid]],
            )


def _by_run(rows: list[DictRow]) -> defaultdict[str, list[DictRow]]:
    by_run: defaultdict[str, list[DictRow]] = defaultdict(list)
    for row in rows:
        by_run[str(row["run_id"])].append(row)
    return by_run
