"""A namespace of Workflows as a person with kubectl handles it, and the code that they run in tests.

A run of `HELD` waits in its second step until its pod is released.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cluster import pods
from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.harness.eventually import eventually

from . import workflows
from .installation import Installation

__all__ = ["CRASHING", "FAILING", "HELD", "QUICK", "Stage"]

PATIENCE = 90.0
"""Seconds; many pods start at once."""

QUICK = """
from perdure import step, workflow

@step
def greet(name):
    return f"hello {name}"

@workflow
def flow(name: str = "you") -> str:
    return greet(name)
"""

FAILING = """
from perdure import workflow

@workflow
def flow():
    raise ValueError("no such account")
"""

CRASHING = """
import os, signal
from perdure import workflow

@workflow
def flow():
    os.kill(os.getpid(), signal.SIGKILL)
"""

HELD = """
import asyncio
from pathlib import Path
from perdure import step, workflow

@step
async def before():
    return "before"

@step
async def held():
    while not Path("/tmp/go").exists():
        await asyncio.sleep(0.05)
    return "held"

@step
async def after():
    return "after"

@workflow
async def flow() -> list[str]:
    return [await before(), await held(), await after()]
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """An installation and a namespace for its Workflows."""

    installation: Installation
    namespace: str

    @classmethod
    @contextmanager
    def on(cls, installation: Installation) -> Iterator[Stage]:
        """A namespace of its own, which goes with the block."""
        with installation.workspace() as namespace:
            yield cls(installation, namespace)

    @property
    def cluster(self) -> Cluster:
        return self.installation.cluster

    def start(self, name: str, code: str = QUICK, **spec: Any) -> str:
        """Create a Workflow; its UID."""
        made = workflows.create(self.cluster, self.namespace, workflows.workflow(name, code, **spec))
        return str(made["metadata"]["uid"])

    def change(self, name: str, **spec: Any) -> None:
        """Change fields of a Workflow's spec."""
        self.cluster.api.patch(workflows.path(self.namespace, name), {"spec": spec})

    def annotate(self, name: str, **annotations: str) -> None:
        """Set annotations of ours on a Workflow."""
        ours = {f"perdure.io/{key}": value for key, value in annotations.items()}
        self.cluster.api.patch(workflows.path(self.namespace, name), {"metadata": {"annotations": ours}})

    def delete(self, name: str) -> None:
        """Delete a Workflow."""
        self.cluster.api.delete(workflows.path(self.namespace, name))

    def get(self, name: str) -> Json:
        """A Workflow as it is now."""
        return workflows.get(self.cluster, self.namespace, name)

    def uid(self, name: str) -> str:
        """A Workflow's UID, which is its run's id."""
        return str(self.get(name)["metadata"]["uid"])

    def gone(self, name: str) -> bool:
        """Whether there is no such Workflow."""
        return self.cluster.api.find(workflows.path(self.namespace, name)) is None

    def pods(self, name: str) -> list[Json]:
        """A Workflow's pods, oldest attempt first."""
        return workflows.pods(self.cluster, self.namespace, name)

    def until_reason(self, name: str, reason: str, deadline: float = PATIENCE) -> Json:
        """Wait until a Workflow's status gives this reason for where it stands, and return its status."""
        return workflows.until_reason(self.cluster, self.namespace, name, reason, deadline)["status"]

    def until_finished(self, name: str, deadline: float = PATIENCE) -> Json:
        """Wait until a Workflow has finished, however, and return its status."""
        return workflows.until_finished(self.cluster, self.namespace, name, deadline)["status"]

    def until_pod(self, name: str, attempt: int = 1, deadline: float = PATIENCE) -> Json:
        """Wait until the pod of an attempt is there, and return it."""
        return workflows.until_pod(self.cluster, self.namespace, name, attempt, deadline)

    def until_held(self, name: str, deadline: float = PATIENCE) -> None:
        """Wait until a run of `HELD` is in its second step, or about to begin it."""
        uid = self.uid(name)

        def held() -> bool:
            assert self.keys(uid) == ["before"], (self.get(name).get("status"), self.installation.store.attempts(uid))
            return True

        eventually(held, deadline, every=0.3)

    def release(self, name: str) -> None:
        """Let the newest attempt of a run of `HELD` go on."""
        pod = self.pods(name)[-1]["metadata"]["name"]
        pods.run_in(self.cluster, self.namespace, pod, ["touch", "/tmp/go"], container="workflow")

    def keys(self, uid: str) -> list[str]:
        """The steps of a run that have finished, in order."""
        return [row["step_key"] for row in self.installation.store.steps(uid)]

    def endings(self, uid: str) -> list[str | None]:
        """How the attempts of a run ended, in order."""
        return [row["ending"] for row in self.installation.store.attempts(uid)]

    def kubectl(self, *arguments: str, succeeds: bool = True) -> str:
        """What kubectl prints in this namespace; of one that is to fail, why."""
        done = subprocess.run(self._kubectl(*arguments), capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert (done.returncode == 0) is succeeds, done
        return done.stdout if succeeds else done.stderr

    @contextmanager
    def kubectl_meanwhile(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """kubectl, while the block lasts."""
        with subprocess.Popen(self._kubectl(*arguments), stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def _kubectl(self, *arguments: str) -> list[str]:
        kubeconfig = f"--kubeconfig={self.cluster.kubeconfig}"
        return [self.cluster.kubectl, kubeconfig, f"--namespace={self.namespace}", *arguments]
