"""The command line in a folder of its own, with a copy of flows.py."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.lines import whole_lines
from tests.harness.processes import Child, Children
from tests.harness.workspace import Workspace


class Cli:
    """Starts commands on one database."""

    def __init__(self, children: Children, folder: Path, url: str, connection: psycopg.Connection) -> None:
        self._children = children
        self._connection = connection
        self.folder = folder
        self.environment: dict[str, str | None] = {"PERDURE_DATABASE_URL": url, "PERDURE_LEASE_SECONDS": "2"}
        shutil.copy(Path(__file__).parent / "flows.py", folder)

    def start(self, *arguments: str, **environment: str | None) -> Child:
        """Start a command."""
        return self.command([sys.executable, "-P", "-m", "perdure.cli", *arguments], **environment)

    def command(self, argv: list[str], **environment: str | None) -> Child:
        """Start any command in the folder, on the same database."""
        return self._children.start(argv, cwd=self.folder, env={**self.environment, **environment})

    def __call__(self, *arguments: str, code: int = 0, **environment: str | None) -> Child:
        """Run a command to its end, which must have this exit code."""
        child = self.start(*arguments, **environment)
        assert child.wait(30) == code, str(child)
        return child

    def whole_environment(self) -> dict[str, str]:
        """The environment of commands that a test starts by itself."""
        return {**os.environ, **{name: value for name, value in self.environment.items() if value is not None}}

    def document(self, *arguments: str, code: int = 0) -> Any:
        """What a command prints with `-o json`."""
        return json.loads(self(*arguments, "-o", "json", code=code).output)

    def log(self) -> list[str]:
        """What the workflows have logged."""
        return whole_lines(self.folder / "log")

    def wait_for(self, line: str) -> None:
        """Wait for a line in the log."""
        eventually(lambda: line in self.log(), 15)

    def let_go(self, *files: str) -> None:
        """Make the files for which `hold` looks."""
        for file in files or ("go",):
            (self.folder / file).touch()

    def query(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        return self._connection.execute(statement, arguments).fetchall()


@pytest.fixture
def cli(children: Children, database: Database, workspace: Workspace) -> Iterator[Cli]:
    """The command line."""
    with database.connect() as connection:
        yield Cli(children, workspace.new_folder("cli"), database.url, connection)
        children.close()
