"""A server for each test, and its client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.operator.kube.served import Served, served


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    """A server that answers as the test says."""
    with served(tmp_path) as stage:
        yield stage
