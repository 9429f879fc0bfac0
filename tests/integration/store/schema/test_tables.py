"""The metadata of `perdure.store.schema.tables` says what the migrations make."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from perdure.store.schema.migrate import store_engine
from perdure.store.schema.tables import OneByte, metadata
from tests.harness.databases import Database, Databases

_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid),
           l.collname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN pg_collation l ON l.oid = a.attcollation
    WHERE n.nspname = 'perdure' AND c.relkind = 'r' AND c.relname <> 'alembic_version' ORDER BY c.relname, a.attnum
"""
_INDEXES = """
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'perdure' AND tablename <> 'alembic_version' ORDER BY indexdef
"""
_CONSTRAINTS = """
    SELECT c.conrelid::regclass::text, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c
    WHERE c.connamespace = 'perdure'::regnamespace AND c.contype <> 'n'
      AND c.conrelid <> 'perdure.alembic_version'::regclass ORDER BY 1, 2
"""
_OPTIONS = (
    "SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'perdure'::regnamespace AND reloptions IS NOT NULL"
)


def test_alembic_would_add_nothing(database: Database) -> None:
    options = {
        # How SQLAlchemy reads "char" it does not write it; the test below compares its type, too.
        "compare_type": lambda _, __, ___, ____, kept: False if isinstance(kept, OneByte) else None,
        "compare_server_default": True,
        "include_schemas": True,
        "version_table_schema": "perdure",
    }
    with store_engine(database.url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_tables_made_from_the_metadata_are_those_of_the_migrations(database: Database, databases: Databases) -> None:
    # Alembic compares no collations, no conditions of indexes, no checks and no storage parameters.
    made = databases.empty()
    made.query("CREATE SCHEMA perdure")
    made.query("CREATE TABLE perdure.alembic_version ()")
    with store_engine(made.url).begin() as connection:
        metadata.create_all(connection)
    for question in (_COLUMNS, _INDEXES, _CONSTRAINTS, _OPTIONS):
        migrated = database.query(question)
        assert migrated, question
        assert made.query(question) == migrated
