"""Which clients and schemas work together. Both sides check the same range, so that neither needs the other's history.

A schema names the oldest client that it still serves (`perdure.meta.oldest_client`), a client the oldest schema that it
still reads. So old pods live on under a newer schema, and a new client needs a migration only for a schema older than
`OLDEST_SCHEMA`.
"""

from __future__ import annotations

from ...errors import SchemaMismatch

__all__ = ["CLIENT_VERSION", "OLDEST_SCHEMA", "SCHEMA_VERSION", "check_versions"]

SCHEMA_VERSION = 1
"""The version to which this release migrates."""

CLIENT_VERSION = 1
"""The version of this release's statements and of how it reads the functions' answers."""

OLDEST_SCHEMA = 1
"""The oldest schema that this release's statements work with."""


def check_versions(schema_version: int, oldest_client: int) -> None:
    """Check the versions in `perdure.meta` against this release.

    Raises:
        SchemaMismatch: one side is too old; the message names it, and the command to run.
    """
    if schema_version < OLDEST_SCHEMA:
        raise SchemaMismatch(
            f"the database is too old for this client: its schema has version {schema_version}, this client needs"
            f" {OLDEST_SCHEMA} or newer; run 'perdure migrate' with this release"
        )
    if oldest_client > CLIENT_VERSION:
        raise SchemaMismatch(
            f"this client is too old for the database: it has version {CLIENT_VERSION}, the schema (version"
            f" {schema_version}) serves {oldest_client} and newer; upgrade it, e.g. 'pip install --upgrade perdure'"
        )
