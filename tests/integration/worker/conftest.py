"""Fleets of workers that end with the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.databases import Database
from tests.harness.processes import Children
from tests.harness.workspace import Workspace
from tests.integration.worker.fleet import Fleet


@pytest.fixture
def fleet(database: Database, children: Children, workspace: Workspace) -> Iterator[Fleet]:
    """Workers on a database of the shared server."""
    made = Fleet(database, children, workspace.new_folder("flows"))
    yield made
    made.close()


@pytest.fixture
def own_fleet(own_database: Database, children: Children, workspace: Workspace) -> Iterator[Fleet]:
    """Workers on a server that the test may stop."""
    made = Fleet(own_database, children, workspace.new_folder("flows"))
    yield made
    made.close()
