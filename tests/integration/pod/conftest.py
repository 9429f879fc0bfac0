"""Supervisors with stand-ins for store and engine, and what they left in their folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.lines import whole_lines
from tests.harness.processes import Child, Children, alive
from tests.harness.workspace import Workspace
from tests.integration.pod.attempts import Attempts
from tests.integration.store.rows import Session

_SCRIPT = Path(__file__).parent / "stand_in.py"


@dataclass
class Supervised:
    """One run of stand_in.py."""

    process: Child
    folder: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """Everything of this name that has happened so far."""
        lines = whole_lines(self.folder / "events")
        return [event for line in lines if (event := json.loads(line))["event"] == name]

    def wait_for(self, name: str, count: int = 1, deadline: float = 10.0) -> dict[str, Any]:
        """The `count`-th event of this name; fails at once if the process ends without."""

        def seen() -> list[dict[str, Any]]:
            ended = not self.process.running()
            found = self.events(name)[count - 1 : count]
            if ended and not found:
                raise RuntimeError(f"{self.process} ended without {name!r}")
            return found

        return eventually(seen, deadline, 0.005)[0]

    def set(self, name: str) -> None:
        """Put a file into the folder, which the stand-ins obey."""
        (self.folder / name).touch()

    def clear(self, name: str) -> None:
        (self.folder / name).unlink()

    @property
    def child(self) -> int:
        """The process with the user's code, as this process numbers it, after it has begun."""
        return int(self.wait_for("begun")["pid"])

    def left(self) -> list[int]:
        """Processes of this run that are alive, found by their environment, wherever they have gone."""
        found = []
        mark = f"STAND_IN={self.folder}".encode()
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return [pid for pid in found if alive(pid)]

    def code(self, deadline: float = 10.0) -> int:
        """Its exit code; nothing of it is left by then."""
        code = self.process.wait(deadline)
        eventually(lambda: not self.left(), 1.0)
        return code


Supervise = Callable[..., Supervised]


@pytest.fixture
def supervise(children: Children, workspace: Workspace) -> Supervise:
    """Start a supervisor whose child is the function of this name in stand_in.py."""

    def start(child: str, *options: str, prefix: Sequence[str] = (), files: Sequence[str] = ()) -> Supervised:
        folder = workspace.new_folder("pod")
        for file in files:
            (folder / file).touch()
        argv = [*prefix, sys.executable, str(_SCRIPT), str(folder), child, *options]
        process = children.start(argv, env={"STAND_IN": str(folder)})
        return Supervised(process, folder)

    return start


@pytest.fixture
def attempts(children: Children, database: Database, workspace: Workspace) -> Iterator[Attempts]:
    """Runs of the workflows in flows.py."""
    with database.connect() as connection:
        yield Attempts(children, database, workspace, Session(connection))
        children.close()
