"""Connections to one database system and to no other, with a limit for locks where no pooler is between."""

from __future__ import annotations

import psycopg
import pytest

from perdure.errors import StoreChanged
from perdure.store.postgres.connection import Fault
from perdure.store.postgres.libpq import Wire, WireError
from perdure.store.postgres.opener import Opener
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.pgbouncer import PgBouncer


def setting(wire: Wire, name: str) -> str:
    return (wire.pgconn.exec_(f"SHOW {name}".encode()).get_value(0, 0) or b"").decode()


def test_the_system_that_answers_first_is_the_one(database: Database) -> None:
    opener = Opener(database.url)
    opener.open().close()
    [(system,)] = database.query("SELECT system_identifier::text FROM pg_control_system()")
    assert opener.system == system
    opener.open().close()


def test_another_system_under_the_same_address_is_refused(database: Database) -> None:
    opener = Opener(database.url, system="1")
    with pytest.raises(StoreChanged, match="answers where 1 did"):
        opener.open()
    ours = "datname = current_database() AND application_name = 'perdure'"
    eventually(lambda: database.query(f"SELECT 1 FROM pg_stat_activity WHERE {ours}") == [])


def test_a_limit_for_locks_is_the_sessions(database: Database) -> None:
    wire = Opener(database.url).open(lock_timeout=1500)
    assert setting(wire, "lock_timeout") == "1500ms"
    wire.close()
    wire = Opener(database.url).open()
    assert setting(wire, "lock_timeout") == "0"
    wire.close()


def test_through_a_pooler_no_limit_is_set_that_would_be_anothers(database: Database, pgbouncer: PgBouncer) -> None:
    wire = Opener(pgbouncer.url(database.name)).open(lock_timeout=1500)
    assert wire.pooled
    assert setting(wire, "lock_timeout") == "0"
    wire.close()


def test_where_nobody_listens_the_fault_may_pass() -> None:
    with pytest.raises(WireError) as failed:
        Opener("postgresql://127.0.0.1:1/nowhere").open()
    assert failed.value.fault is Fault.AWAY


def test_a_database_that_is_not_there(database: Database) -> None:
    url = psycopg.conninfo.make_conninfo(database.url, dbname="no_such_database")
    with pytest.raises(WireError, match="does not exist"):
        Opener(url).open()
