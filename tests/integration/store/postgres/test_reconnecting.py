"""A connection that is kept for statements: anew after the store was away, the same after a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from perdure.store.postgres.reconnecting import ReconnectingConnection
from tests.harness.databases import Database


@pytest.fixture
def kept(database: Database) -> Iterator[ReconnectingConnection]:
    made = ReconnectingConnection(database.url, "kept")
    yield made
    made.close()


def backends(database: Database) -> list[int]:
    return [
        pid
        for (pid,) in database.query(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'kept' AND datname = current_database()"
        )
    ]


def use(kept: ReconnectingConnection) -> None:
    assert kept.execute("run_standing", {"run": uuid4()}).fetchall() == []


def test_it_is_opened_with_the_first_statement_and_kept(kept: ReconnectingConnection, database: Database) -> None:
    assert backends(database) == []
    use(kept)
    first = backends(database)
    use(kept)
    assert len(first) == 1
    assert backends(database) == first


def test_a_lost_session_is_one_error_and_then_another_session(kept: ReconnectingConnection, database: Database) -> None:
    use(kept)
    [pid] = backends(database)
    database.query("SELECT pg_terminate_backend(%s)", pid)
    with pytest.raises(psycopg.OperationalError):
        use(kept)
    use(kept)
    assert backends(database) != [pid]


def test_a_refused_statement_ends_nothing(kept: ReconnectingConnection, database: Database) -> None:
    use(kept)
    before = backends(database)
    with pytest.raises(psycopg.DataError):
        kept.execute("run_standing", {"run": "no uuid"})
    use(kept)
    assert backends(database) == before


def test_once_closed_it_opens_another(kept: ReconnectingConnection, database: Database) -> None:
    use(kept)
    before = backends(database)
    kept.close()
    kept.close()
    use(kept)
    assert backends(database) != before
