"""The first schema: tables, and the functions that are all that pods may call."""

from __future__ import annotations

from importlib.resources import files

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything."""
    connection = op.get_bind()
    for name in ("0001_tables.sql", "0001_functions.sql"):
        connection.exec_driver_sql(files("perdure.store").joinpath("migrations", name).read_text(encoding="utf-8"))
    connection.exec_driver_sql("INSERT INTO perdure.meta (schema_version, oldest_client) VALUES (1, 1)")
