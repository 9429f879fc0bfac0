"""Manifests for the command line of tests: runs of flows.py, which is in the current folder."""

from __future__ import annotations

import json
from typing import Any

from tests.harness.processes import Child
from tests.integration.cli.conftest import Cli


class Manifests:
    """Writes manifests beside flows.py, and runs them."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli

    def write(self, entrypoint: str, *others: Any, name: str = "w", file: str = "w.yaml", **spec: Any) -> str:
        """A file with a Workflow and other documents; its name."""
        namespace = {"namespace": spec.pop("namespace")} if "namespace" in spec else {}
        workflow = {
            "apiVersion": "perdure.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": name, **namespace},
            "spec": {"entrypoint": entrypoint, **spec},
        }
        (self.cli.folder / file).write_text("\n---\n".join(json.dumps(one) for one in [workflow, *others]))
        return file

    def start(self, entrypoint: str, *others: Any, environment: dict[str, str] | None = None, **spec: Any) -> Child:
        """Start `perdure run` on a new manifest."""
        return self.cli.start("run", self.write(entrypoint, *others, **spec), **(environment or {}))

    def run(self, entrypoint: str, *others: Any, code: int = 0, **spec: Any) -> Child:
        """Run one to its end, which must have this exit code."""
        return self.cli("run", self.write(entrypoint, *others, **spec), code=code)

    def status(self, *, file: str = "w.yaml", code: int = 0) -> dict[str, Any]:
        """What `perdure run -o json` says of a manifest that is there."""
        document = self.cli.document("run", file, code=code)
        assert document["kind"] == "Workflow"
        status: dict[str, Any] = document["status"]
        return status

    def attempts(self) -> list[tuple[int, str]]:
        """How the attempts ended."""
        return [
            (attempt, ending)
            for attempt, ending in self.cli.query("SELECT attempt, ending FROM perdure.attempts ORDER BY attempt")
        ]


def reason(status: dict[str, Any]) -> str:
    """Why a Workflow stands as it does."""
    (finished,) = [one for one in status["conditions"] if one["type"] == "Finished"]
    return str(finished["reason"])
