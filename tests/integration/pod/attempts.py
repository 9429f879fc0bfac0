"""Runs of the workflows in flows.py, and `perdure exec` for their attempts."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.lines import whole_lines
from tests.harness.processes import Child, Children, signal_all, stopped
from tests.harness.workspace import Workspace
from tests.integration.store.rows import Attempt, Session

__all__ = ["Attempts", "pause", "resume"]


class Attempts:
    """A folder in which workflows work, and a database that has their runs."""

    def __init__(self, children: Children, database: Database, workspace: Workspace, store: Session) -> None:
        self._children = children
        self._database = database
        self.folder = workspace.new_folder("attempts")
        self.store = store

    def claim(self, workflow: str, input: str = "{}", **values: object) -> Attempt:
        """Insert a run and claim it."""
        return self.claim_again(self.store.insert(None, entrypoint=f"flows:{workflow}", input=input, **values))

    def claim_again(self, run: UUID) -> Attempt:
        """Claim a run as an operator does, whatever its last attempt is doing."""
        claimed = self.store.claim(run)
        assert claimed is not None
        return claimed

    def exec(self, attempt: Attempt, *, prefix: Sequence[str] = (), **environment: str) -> Child:
        """`perdure exec` for an attempt."""
        return self._children.start(
            [*prefix, sys.executable, "-P", "-m", "perdure.cli", "exec"],
            cwd=self.folder,
            env={
                "PERDURE_DATABASE_URL": self._database.url,
                "PERDURE_RUN_ID": str(attempt.run),
                "PERDURE_CLAIM": str(attempt.claim),
                "PERDURE_IMPORT_PATH": str(Path(__file__).parent),
                "PERDURE_LEASE_SECONDS": "2",
                **environment,
            },
        )

    def log(self) -> list[str]:
        """What the workflows have logged."""
        return whole_lines(self.folder / "log")

    def wait_for(self, line: str, count: int = 1) -> None:
        """Wait for a line in the log."""
        eventually(lambda: self.log().count(line) >= count, 15)

    def let_go(self, name: str = "go") -> None:
        """Make the file for which workflows wait."""
        (self.folder / name).touch()

    def steps(self, run: UUID) -> dict[str, int]:
        """The attempt that stored each step."""
        rows = self.store.execute("SELECT step_key, attempt FROM perdure.steps WHERE run_id = %s ORDER BY ordinal", run)
        return dict(rows)

    def attempt(self, run: UUID, number: int) -> dict[str, Any]:
        """How an attempt ended."""
        [row] = self.store.execute(
            "SELECT ending, code, signal, detail FROM perdure.attempts WHERE run_id = %s AND attempt = %s", run, number
        )
        return dict(zip(("ending", "code", "signal", "detail"), row, strict=True))


def pause(pids: list[int]) -> None:
    """SIGSTOP; returns when all are held."""
    signal_all(pids, signal.SIGSTOP)
    eventually(lambda: all(stopped(pid) for pid in pids))


def resume(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
