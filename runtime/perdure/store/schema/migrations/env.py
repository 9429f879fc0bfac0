"""Alembic's environment: runs on the connection and in the transaction of `perdure.store.schema.migrate`."""

from __future__ import annotations

from alembic import context

from perdure.store.schema.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("migrate with 'perdure migrate': it takes the lock under which migrations run")

context.configure(
    connection=connection,
    target_metadata=metadata,
    include_schemas=True,
    version_table="alembic_version",
    version_table_schema="perdure",
)
with context.begin_transaction():
    context.run_migrations()
