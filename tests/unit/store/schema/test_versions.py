"""Client and schema work together within a range, and each side's message says what to do."""

from __future__ import annotations

import pytest

from perdure.errors import SchemaMismatch
from perdure.store.schema import versions
from perdure.store.schema.versions import check_versions


@pytest.fixture(autouse=True)
def release(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later release: its client has version 5 and works with schemas from 3 on."""
    monkeypatch.setattr(versions, "CLIENT_VERSION", 5)
    monkeypatch.setattr(versions, "OLDEST_SCHEMA", 3)


@pytest.mark.parametrize(("schema_version", "oldest_client"), [(3, 1), (3, 5), (4, 2), (99, 5)])
def test_within_the_range_they_work_together(schema_version: int, oldest_client: int) -> None:
    check_versions(schema_version, oldest_client)


def test_a_schema_too_old_is_to_be_migrated() -> None:
    with pytest.raises(SchemaMismatch, match=r"database is too old.*version 2.*needs 3.*perdure migrate"):
        check_versions(2, 1)


def test_a_client_too_old_is_to_be_upgraded() -> None:
    with pytest.raises(SchemaMismatch, match=r"client is too old.*version 5.*serves 6.*upgrade it"):
        check_versions(9, 6)
