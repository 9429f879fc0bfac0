"""Embedded databases of the test alone, and a workspace of its own, which this process's servers belong to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.embedded import EmbeddedDatabase
from tests.harness.processes import Children
from tests.harness.workspace import VARIABLE, Workspace


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The folder of this test; what it starts is found by it."""
    with Workspace() as workspace:
        monkeypatch.setenv(VARIABLE, str(workspace.folder))
        yield workspace


@pytest.fixture
def children(workspace: Workspace) -> Iterator[Children]:
    """Starts processes that end with the test."""
    children = Children(workspace)
    yield children
    children.close()


@pytest.fixture
def unmade(workspace: Workspace, children: Children) -> EmbeddedDatabase:
    """A database whose data folder nobody has made yet."""
    return EmbeddedDatabase(workspace.new_folder("db"), children)


@pytest.fixture
def database(unmade: EmbeddedDatabase) -> EmbeddedDatabase:
    """A database whose data folder is made."""
    unmade.fill()
    return unmade
