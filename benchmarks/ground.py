"""The ground on which all compete: one Postgres, a fresh database for each, and processes.

The server has its default settings, but for `fsync`: a flush of a shared disk takes anything from 0.1 to 4 ms, the same
for whoever commits, and would drown what there is to compare; the row `flush` measures with it.

Every contestant runs in a process of its own, made for the measurement and gone after it, so that no peer's background
threads take time from another.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from absurdctl import BUNDLED_SCHEMA_SQL

from benchmarks.contestants import dbos_peer
from perdure.store.schema.migrate import migrate
from tests.harness.databases import Database, Databases
from tests.harness.postgres import Servers
from tests.harness.proxy import Proxy
from tests.harness.workspace import Workspace

__all__ = ["Database", "Ground"]

ROOT = Path(__file__).parents[1]


class Ground:
    """A server and what competes on it; use as a context manager."""

    def __init__(self, *, fsync: bool = False) -> None:
        self.workspace = Workspace()
        self._servers = Servers(self.workspace)
        self.server = self._servers.embedded(parameters={"fsync": "on" if fsync else "off"})
        self._perdure = Databases(self.server, migrate)
        self._dbos = Databases(self.server, dbos_peer.migrate, template="dbos")
        self._copies = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()
        self.workspace.close()

    # Databases.

    def perdure(self) -> Database:
        """A fresh database with Perdure's schema."""
        return self._perdure.new()

    def dbos(self) -> Database:
        """A fresh database with DBOS's schema."""
        return self._dbos.new()

    def absurd(self) -> Database:
        """A fresh database with Absurd's schema."""
        database = self._perdure.empty()
        with database.connect() as connection:
            connection.execute(BUNDLED_SCHEMA_SQL)
            connection.execute("SELECT absurd.create_queue('default')")
        return database

    def copy(self, database: Database) -> Database:
        """A database with the same rows."""
        name = f"copy_{next(self._copies)}"
        self.server.create_database(name, template=database.name)
        return Database(self.server, name)

    def drop(self, database: Database) -> None:
        """Drop a database."""
        self.server.drop_database(database.name)

    def proxy(self) -> Proxy:
        """A proxy in front of the server."""
        return Proxy(self.server)

    # Processes.

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment in which contestants find this repository's modules, and keep what they compile of them."""
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self.workspace.folder / "compiled")}
        return {**self.workspace.environment(), **compiled, "PYTHONPATH": path, **variables}

    def start(
        self, contestant: str, *, variables: dict[str, str] | None = None, **arguments: Any
    ) -> subprocess.Popen[str]:
        """Start a contestant, `module:function`; its lines can be read from the process's `stdout`."""
        return subprocess.Popen(
            [sys.executable, "-m", "benchmarks.contestants", contestant, json.dumps(arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment(**(variables or {})),
            cwd=self.workspace.folder,
        )

    def measure(self, contestant: str, **arguments: Any) -> dict[str, float]:
        """Run a contestant to its end; the figures that it takes."""
        with self.start(contestant, **arguments) as process:
            output, _ = process.communicate()
        assert process.returncode == 0, f"{contestant} failed"
        figures: dict[str, float] = json.loads(output.splitlines()[-1])
        return figures
