"""Workers in processes of their own, on one database, and what their runs did."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from perdure.client import Client
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.lines import whole_lines
from tests.harness.processes import Child, Children
from tests.harness.unavailable import unavailable

MAIN = Path(__file__).parent / "main.py"
LEASE = 2.0


class Fleet:
    """Workers on one database, a client, and the folder in which their runs note what they do."""

    def __init__(self, database: Database, children: Children, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.client = Client(database.url)
        self._children = children

    def worker(self, *, elsewhere: bool = False, **options: Any) -> Child:
        """Start a worker; `elsewhere`, it sees other process ids than we do, as on another host."""
        argv = [
            sys.executable,
            "-u",
            str(MAIN),
            json.dumps({"url": self.database.url, "lease": LEASE} | options),
        ]
        if elsewhere:
            if os.geteuid() != 0:
                unavailable("process namespaces, for which this has to run as root")
            argv = ["unshare", "--pid", "--fork", "--mount-proc", *argv]
        return self._children.start(argv, env={"FLOWS_FOLDER": str(self.folder)})

    def open(self, gate: str) -> None:
        """Let runs pass a gate."""
        (self.folder / gate).touch()

    def events(self, event: str) -> list[dict[str, Any]]:
        """Everything of this kind that runs noted, in order."""
        lines = whole_lines(self.folder / "events")
        return [one for line in lines if (one := json.loads(line))["event"] == event]

    def wait_for(self, event: str, number: int = 1, deadline: float = 15.0) -> list[dict[str, Any]]:
        """Wait until runs have noted this as often."""
        return eventually(lambda: found if len(found := self.events(event)) >= number else [], deadline, 0.005)

    def attempts(self) -> list[tuple[int, str | None]]:
        """Number and ending of every attempt, of all runs, in order."""
        rows = self.database.query("SELECT attempt, ending FROM perdure.attempts ORDER BY run_id, attempt")
        return [(attempt, ending) for attempt, ending in rows]

    def states(self) -> Counter[str]:
        """How many runs are in which state."""
        return Counter(state for (state,) in self.database.query("SELECT state FROM perdure.runs"))

    def wait_until_all(self, state: str, deadline: float = 30.0) -> None:
        """Wait until every run is in this state."""
        eventually(lambda: set(self.states()) == {state}, deadline)

    def close(self) -> None:
        self.client.close()
