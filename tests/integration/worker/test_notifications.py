"""A worker's thread hears which runs are new or to be looked at; and that it may have missed some."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest

from perdure.worker.notifications import NotificationListener
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.integration.store.rows import OWNER, Session


class Heard:
    """What a listener has told."""

    def __init__(self) -> None:
        self.connections = 0
        self.runs: list[UUID] = []
        self.died: list[BaseException] = []

    def __call__(self, runs: list[Any] | None) -> None:
        if runs is None:
            self.connections += 1
        else:
            self.runs += runs


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def listener(database: Database, heard: Heard) -> Iterator[NotificationListener]:
    made = NotificationListener(database.url, OWNER, heard, heard.died.append)
    made.start()
    eventually(lambda: heard.connections == 1)
    yield made
    made.stop()
    assert heard.died == []


@pytest.fixture
def rows(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


@pytest.mark.usefixtures("listener")
def test_new_runs_of_its_owner_are_heard_of(heard: Heard, rows: Session) -> None:
    rows.insert(owner="queue:other")
    run = rows.insert()
    eventually(lambda: run in heard.runs)
    assert heard.runs == [run]


@pytest.mark.usefixtures("listener")
def test_after_a_broken_connection_it_says_that_some_may_be_missing(
    heard: Heard, rows: Session, database: Database
) -> None:
    database.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid NOT IN (pg_backend_pid(), %s)",
        rows.connection.info.backend_pid,
    )
    eventually(lambda: heard.connections == 2)
    run = rows.insert()
    eventually(lambda: run in heard.runs)


def test_it_stops_at_once(database: Database, heard: Heard) -> None:
    listener = NotificationListener(database.url, OWNER, heard, heard.died.append)
    listener.start()
    eventually(lambda: heard.connections == 1)
    began = time.monotonic()
    listener.stop()
    assert time.monotonic() - began < 5
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    eventually(lambda: database.query(others) == [])


def test_without_a_store_it_goes_on_trying_and_says_so_once(heard: Heard, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "perdure.worker")
    listener = NotificationListener("postgresql://127.0.0.1:1/nowhere", OWNER, heard, heard.died.append)
    listener.start()
    eventually(lambda: caplog.records)
    listener.stop()
    assert "polling instead" in caplog.text
    assert len(caplog.records) == 1
    assert heard.connections == 0
