"""Checkpoints of attempts that have begun, and what the database has of them."""

from __future__ import annotations

from perdure.store.attempts.checkpoint import Checkpoint
from tests.harness.databases import Database

from ...engine.attempts import Begun


def statements_sent(database: Database, function: str) -> int:
    return sum(
        calls for sql, calls in database.server.statements(database.name).items() if f"perdure.{function}(" in sql
    )


def stored(database: Database) -> int:
    [(steps,)] = database.query("SELECT count(*) FROM perdure.steps")
    return int(steps)


def checkpoint_of(begun: Begun, ordinal: int, result: str) -> Checkpoint:
    run, claim = str(begun.claimed.run_id).encode(), str(begun.claimed.token).encode()
    return Checkpoint(run, claim, f"work#{ordinal}", ordinal, "work", 1, 0, 10, result, None)
