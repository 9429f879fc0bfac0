"""A full queue of notifications fails nobody's write: they are hints, and the store goes on without them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

import perdure
import perdure_operator
from perdure.store.schema.migrate import migrate
from tests.harness.databases import Database, Databases
from tests.harness.postgres import Servers

from .rows import Session

PAGES = 64
"""As few as Postgres lets us have: 512 KiB."""


@pytest.fixture
def small(servers: Servers) -> Database:
    """On a server with a small queue."""
    return Databases(servers.embedded(parameters={"max_notify_queue_pages": PAGES}), migrate).new()


def notify_much(connection: psycopg.Connection) -> None:
    for number in range(PAGES * 2):
        connection.execute("SELECT pg_notify('anything', rpad(%s::text, 7900, '.'))", [number])


@pytest.fixture
def full(small: Database) -> Iterator[Database]:
    """Somebody listens and holds a transaction open, and others have notified ever since."""
    with closing(small.connect()) as hostile, closing(small.connect()) as other:
        hostile.execute("LISTEN anything")
        hostile.execute("BEGIN")
        hostile.execute("SELECT 1")
        with pytest.raises(psycopg.Error, match="too many notifications"):
            notify_much(other)
        yield small


def test_runs_are_inserted_finished_released_and_cancelled_all_the_same(full: Database) -> None:
    with closing(full.connect()) as connection:
        store = Session(connection)
        first, second, third = (store.insert() for _ in range(3))
        assert store.finish(store.begun(first), result=1) == 0
        assert store.release_run(store.begun(second)) == 0
        assert store.cancel(third) == "cancelled"
        assert [store.run(run)["state"] for run in (first, second, third)] == ["succeeded", "pending", "cancelled"]


def test_with_room_whoever_listens_is_told(database: Database) -> None:
    with closing(database.connect()) as listener, closing(database.connect()) as connection:
        store = Session(connection)
        run = store.insert()
        [(channel,)] = database.query("SELECT perdure.channel('done', owner) FROM perdure.runs WHERE id = %s", run)
        listener.execute(f'LISTEN "{channel}"')
        assert store.finish(store.begun(run), result=1) == 0
        [note] = list(listener.notifies(timeout=5, stop_after=1))
        assert note.payload == str(run)


def test_nothing_notifies_in_another_way() -> None:
    """It would fail what it is a hint of."""
    folders = [Path(module.__path__[0]) for module in (perdure, perdure_operator)]
    files = [file for folder in folders for file in folder.rglob("*") if file.suffix in (".sql", ".py")]
    assert {file.name for file in files if "pg_notify(" in file.read_text()} == {"notify.sql"}
