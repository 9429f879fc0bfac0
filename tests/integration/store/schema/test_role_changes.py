"""Changes of logins come one after the other, whole or not at all, and an error says what it takes to make them."""

from __future__ import annotations

import threading

import psycopg
import pytest

from perdure.errors import SchemaMismatch, StoreError, StoreUnavailable
from perdure.store.schema.role_changes import changing, told
from tests.harness.databases import Database, Databases
from tests.harness.eventually import eventually

WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def test_a_change_is_made_as_a_whole_or_not_at_all(database: Database) -> None:
    with pytest.raises(StoreError), changing(database.url, "add a login") as connection:
        connection.execute("CREATE TABLE made (n int); SELECT no_such_function()")
    assert database.query("SELECT to_regclass('made')") == [(None,)]
    with changing(database.url, "add a login") as connection:
        connection.execute("CREATE TABLE made (n int)")
    assert database.query("SELECT to_regclass('made')::text") == [("made",)]


def test_the_second_waits_for_the_first(database: Database) -> None:
    order: list[str] = []

    def second() -> None:
        with changing(database.url, "add another"):
            order.append("second")

    with changing(database.url, "add a login"):
        thread = threading.Thread(target=second)
        thread.start()
        eventually(lambda: database.query(WAITING) == [(1,)])
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_lock_that_somebody_keeps_is_not_waited_for_without_end(database: Database) -> None:
    with database.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE perdure.logins IN SHARE ROW EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="add a login"), changing(database.url, "add a login"):
            pytest.fail("the lock is another's")
        holder.execute("ROLLBACK")


def test_a_login_that_may_not_is_told_what_it_takes() -> None:
    error = told(psycopg.errors.InsufficientPrivilege("permission denied"), "lock a login")
    assert type(error) is StoreError
    assert "lock a login: the login of this URL may not" in str(error)
    assert "CREATEROLE" in str(error)
    assert isinstance(told(psycopg.OperationalError("away"), "lock a login"), StoreUnavailable)


def test_a_database_without_a_schema_is_to_be_migrated(databases: Databases) -> None:
    with pytest.raises(SchemaMismatch, match="perdure migrate"), changing(databases.empty().url, "add a login"):
        pytest.fail("there is no schema")
