"""A connection is opened only to a schema that this release works with."""

from __future__ import annotations

import psycopg
import pytest

from perdure.errors import SchemaMismatch, StoreUnavailable
from perdure.store.schema.checked_connection import open_checked, schema_is_current
from perdure.store.schema.versions import SCHEMA_VERSION
from tests.harness.databases import Database, Databases


def test_a_schema_of_this_release_is_taken(database: Database) -> None:
    with open_checked(database.url) as connection:
        assert connection.execute("SELECT schema_version FROM perdure.meta").fetchone() == (SCHEMA_VERSION,)
    assert schema_is_current(database.url)


@pytest.mark.parametrize(
    ("change", "current"),
    [
        ("schema_version = schema_version + 1", True),  # a newer release's, which serves this one, too
        ("schema_version = 1000, oldest_client = 1000", False),
        ("schema_version = 0", False),
    ],
)
def test_another_version_is_current_only_if_it_serves_this_release(
    database: Database, change: str, current: bool
) -> None:
    database.query(f"UPDATE perdure.meta SET {change}")
    assert schema_is_current(database.url) is current
    if current:
        open_checked(database.url).close()
        return
    with pytest.raises(SchemaMismatch):
        open_checked(database.url)
    ours = "application_name = 'perdure client' AND datname = current_database()"
    assert database.query(f"SELECT 1 FROM pg_stat_activity WHERE {ours}") == []


def test_a_database_without_a_schema_is_not_current(databases: Databases) -> None:
    url = databases.empty().url
    assert not schema_is_current(url)
    with pytest.raises(psycopg.Error):
        open_checked(url)


def test_without_a_server_nobody_knows() -> None:
    with pytest.raises(StoreUnavailable, match="look at the schema"):
        schema_is_current("postgresql://127.0.0.1:1/nowhere")
