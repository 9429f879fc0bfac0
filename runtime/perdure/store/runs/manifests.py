"""Runs of manifests on this machine: each has a namespace and a name, as a Workflow in a cluster has.

No index gives a name one run: in a cluster the API server sees to that. Here each insert locks the name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from ..postgres.statements import statement
from .claim_one import StandingStore
from .model import MANIFEST_OWNER
from .runs import NewRun

__all__ = ["ManifestRunStore", "StoredManifest"]


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """The stored run of a manifest's name; `input` and `source` are JSON texts."""

    run_id: UUID
    entrypoint: str
    input: str
    source: str | None
    created: datetime
    started: datetime | None


class ManifestRunStore(StandingStore):
    """A `StandingStore` that finds runs by the names of their manifests."""

    def find_manifest(self, namespace: str, name: str) -> StoredManifest | None:
        """The run of this name.

        Raises:
            StoreUnavailable, SchemaMismatch
        """
        names = {"owner": MANIFEST_OWNER, "namespace": namespace, "name": name}
        return self._ask("find the run", lambda cursor: _find(cursor, names))

    def insert_manifest(self, run: NewRun) -> StoredManifest:
        """Insert a run of `MANIFEST_OWNER`, unless there is one of its name. Returns the run that the name then has.

        Raises:
            StoreUnavailable, SchemaMismatch
        """
        parameters = run.parameters

        def work(cursor: psycopg.Cursor[dict[str, Any]]) -> StoredManifest | None:
            with cursor.connection.transaction():
                cursor.execute(statement("lock_manifest"), parameters)
                if found := _find(cursor, parameters):
                    return found
                cursor.execute(statement("insert_run"), parameters)
                return _find(cursor, parameters)

        inserted = self._ask("start the run", work)
        assert inserted is not None, "a transaction sees what it has inserted"
        return inserted


def _find(cursor: psycopg.Cursor[dict[str, Any]], names: Mapping[str, object]) -> StoredManifest | None:
    row = cursor.execute(statement("find_manifest"), names).fetchone()
    return None if row is None else StoredManifest(**row)
