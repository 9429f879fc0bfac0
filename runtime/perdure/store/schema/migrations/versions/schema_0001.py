"""The first schema: the tables. Each migration then applies the functions (`perdure.store.schema.function_files`)."""

from __future__ import annotations

from importlib.resources import files

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    connection = op.get_bind()
    text = files("perdure.store.schema").joinpath("migrations", "tables.sql").read_text(encoding="utf-8")
    connection.exec_driver_sql(text)
    connection.exec_driver_sql("INSERT INTO perdure.meta (schema_version, oldest_client) VALUES (1, 1)")
