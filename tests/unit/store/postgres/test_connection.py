"""What an error of the driver means, and which parameters a connection gets."""

from __future__ import annotations

import psycopg
import pytest

from perdure.errors import SchemaMismatch, StoreError, StoreUnavailable, UsageError
from perdure.store.postgres.connection import Fault, classify, conninfo, database_url, storable, translated


@pytest.mark.parametrize(
    ("sqlstate", "fault"),
    [
        (None, Fault.AWAY),
        ("57P01", Fault.AWAY),  # an administrator ended the session
        ("53300", Fault.AWAY),  # too many connections
        ("25006", Fault.AWAY),
        ("55P03", Fault.LOCKED),
        ("26000", Fault.STATEMENT_LOST),
        ("0A000", Fault.STATEMENT_LOST),
        ("PD001", Fault.SINGLY),
        ("22P02", Fault.REFUSED),
        ("23505", Fault.REFUSED),
        ("42501", Fault.UNUSABLE),
        ("28P01", Fault.UNUSABLE),
    ],
)
def test_each_error_says_what_to_do(sqlstate: str | None, fault: Fault) -> None:
    assert classify(sqlstate) is fault


@pytest.mark.parametrize(
    ("error", "becomes", "said"),
    [
        (psycopg.OperationalError("connection refused\nIs it running?"), StoreUnavailable, "(connection refused)"),
        (psycopg.errors.LockNotAvailable("locked"), StoreUnavailable, "does not answer"),
        (psycopg.errors.UndefinedTable("no table"), SchemaMismatch, "run 'perdure migrate'"),
        (psycopg.errors.UndefinedFunction("no function"), SchemaMismatch, "run 'perdure migrate'"),
        (psycopg.errors.InsufficientPrivilege("permission denied"), StoreError, "the store refuses (permission"),
    ],
)
def test_a_person_reads_what_was_being_done_and_what_to_do(
    error: psycopg.Error, becomes: type[StoreError], said: str
) -> None:
    read = translated(error, "list runs")
    assert type(read) is becomes
    assert str(read).startswith("list runs: ")
    assert said in str(read)


def test_a_given_url_comes_before_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_DATABASE_URL", "postgresql://environment")
    assert database_url("postgresql://given") == "postgresql://given"
    assert database_url() == "postgresql://environment"
    monkeypatch.setenv("PERDURE_DATABASE_URL", "")
    with pytest.raises(UsageError, match="set PERDURE_DATABASE_URL"):
        database_url()


def test_our_limits_stand_where_the_url_has_none() -> None:
    made = psycopg.conninfo.conninfo_to_dict(conninfo("postgresql://there/db?connect_timeout=1&client_encoding=LATIN1"))
    assert made["connect_timeout"] == "1"
    assert made["tcp_user_timeout"] == "20000"
    assert made["application_name"] == "perdure"
    assert made["client_encoding"] == "UTF8"  # whatever the URL says: parameters are written so


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(UsageError, match="the database URL cannot be read"):
        conninfo("postgresql://there/db?no_such=1")


@pytest.mark.parametrize(
    ("text", "stored"), [(None, None), ("", ""), ("é", "é"), ("a\x00b", "a�b"), ("a\ud800b", "a?b")]
)
def test_text_for_people_is_made_storable(text: str | None, stored: str | None) -> None:
    assert storable(text) == stored
