"""The store as pods see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.harness.databases import Database
from tests.integration.store.rows import Session


@pytest.fixture
def pod(database: Database) -> Iterator[Session]:
    """Does what pods do."""
    with closing(database.connect()) as connection:
        yield Session(connection)
