"""Running examples as their readers do, with `perdure run`, and killing them at a place."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.processes import Child, Children

ROOT = Path(__file__).resolve().parents[3]
PERDURE = Path(sys.executable).with_name("perdure")
STOPS = Path(__file__).with_name("stops")


@dataclass
class Example:
    """One run of one example."""

    children: Children
    database: Database
    entrypoint: str
    input: dict[str, object]
    env: dict[str, str]
    name: str = "the-run"

    def start(self, **env: str) -> Child:
        command = [PERDURE, "run", self.entrypoint, "--input", json.dumps(self.input), "--id", self.name, "-o", "json"]
        return self.children.start(
            [str(part) for part in command],
            env={"PERDURE_DATABASE_URL": self.database.url, **self.env, **env},
            cwd=ROOT,
        )

    def run(self) -> dict:
        """To its end; what `perdure run` prints."""
        child = self.start()
        child.wait(45)
        assert child.output, child.errors
        return json.loads(child.output)

    def kill(self, place: str, folder: Path) -> None:
        """SIGKILL to all its processes at a place."""
        stopped = folder / "stopped"
        child = self.start(PYTHONPATH=str(STOPS), STOP_AT=place, STOPPED=str(stopped))

        def there() -> bool:
            if not child.running():
                raise RuntimeError(f"ended before it came to {place}: {child}")
            return stopped.exists()

        eventually(there, 45)
        child.kill_group()
        child.close()

    def attempts(self) -> dict[str, int]:
        """Which attempt stored which step."""
        return dict(self.database.query("SELECT step_key, attempt FROM perdure.steps ORDER BY ordinal"))


@pytest.fixture
def example(children, database):
    """Makes the run of an example."""

    def make(entrypoint: str, input: dict[str, object], **env: str) -> Example:
        return Example(children, database, entrypoint, input, env)

    return make
