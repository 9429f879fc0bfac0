"""Fleets of runs, and what they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.harness.databases import Database
from tests.integration.bad_days.fleet import Fleet


@pytest.fixture
def fleet(tmp_path: Any) -> Iterator[Callable[..., Fleet]]:
    """Makes a fleet of runs in a database."""
    made: list[Fleet] = []

    def make(database: Database, **options: Any) -> Fleet:
        made.append(Fleet(database, tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
