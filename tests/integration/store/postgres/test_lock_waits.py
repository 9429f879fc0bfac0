"""A lock that somebody keeps is waited for as long as a lease; then its holder is told of and ended."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing

import pytest

from perdure.errors import StoreError, StoreUnavailable
from perdure.store.postgres.lock_waits import execute_patiently
from tests.harness.databases import Database
from tests.harness.eventually import eventually

UPDATE = "UPDATE held SET n = n + %(by)s RETURNING n"


@pytest.fixture
def table(database: Database) -> Database:
    database.query("CREATE TABLE held (n int)")
    database.query("INSERT INTO held VALUES (1)")
    return database


def test_without_a_lock_it_is_a_plain_statement(table: Database) -> None:
    assert execute_patiently(table.url, UPDATE, {"by": 2}, lease=5, doing="count") == [(3,)]
    assert table.query("SELECT n FROM held") == [(3,)]


def test_a_holder_that_keeps_it_is_ended_and_named(table: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "perdure.store")
    with closing(table.connect(application_name="forgetful")) as holder:
        holder.execute("BEGIN")
        holder.execute("UPDATE held SET n = 100")
        began = time.monotonic()
        assert execute_patiently(table.url, UPDATE, {"by": 2}, lease=0.5, doing="count") == [(3,)]
        assert time.monotonic() - began >= 0.5
        eventually(lambda: table.query("SELECT 1 FROM pg_stat_activity WHERE application_name = 'forgetful'") == [])
    [record] = caplog.records
    assert "count: waited 0.5 s for a lock" in record.getMessage()
    assert "forgetful" in record.getMessage()


def test_what_was_waited_before_counts(table: Database) -> None:
    with closing(table.connect()) as holder:
        holder.execute("BEGIN")
        holder.execute("UPDATE held SET n = 100")
        began = time.monotonic()
        assert execute_patiently(table.url, UPDATE, {"by": 2}, lease=30, waited=30, doing="count") == [(3,)]
        assert time.monotonic() - began < 20


def test_a_holder_that_lets_go_in_time_lives_on(table: Database) -> None:
    found: list[list[object]] = []
    with closing(table.connect()) as holder:
        holder.execute("BEGIN")
        holder.execute("UPDATE held SET n = 100")
        thread = threading.Thread(
            target=lambda: found.append(execute_patiently(table.url, UPDATE, {"by": 2}, lease=20, doing="count"))
        )
        thread.start()
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        eventually(lambda: table.query(waiting) == [(1,)])
        holder.execute("COMMIT")
        thread.join(20)
        assert found == [[(102,)]]
        assert holder.execute("SELECT 1").fetchall() == [(1,)]


def test_errors_are_the_stores(table: Database) -> None:
    with pytest.raises(StoreError, match="count: "):
        execute_patiently(table.url, "SELECT no_such FROM held", {}, lease=5, doing="count")
    with pytest.raises(StoreUnavailable, match="count: the store does not answer"):
        execute_patiently("postgresql://127.0.0.1:1/nowhere", UPDATE, {"by": 1}, lease=5, doing="count")
