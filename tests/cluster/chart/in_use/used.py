"""A release with runs under way, and the person who looks after both."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import pods
from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.cluster.crds import crd_path, workflow_crd
from tests.cluster.images import Image
from tests.cluster.product.database import Store
from tests.cluster.product.installation import Installation
from tests.cluster.product.stage import Stage
from tests.harness.eventually import eventually

from ..release import Release, team_namespace

__all__ = ["HELD_TWICE", "SOON", "Used"]

PATIENCE = 90.0  # seconds

HELD_TWICE = """
import asyncio
from pathlib import Path

from perdure import step, step_context, workflow


async def reached(file: str) -> int:
    while file and not Path("/tmp", file).exists():
        await asyncio.sleep(0.05)
    return step_context().attempt


@step
async def first() -> int:
    return await reached("")


@step
async def second() -> int:
    return await reached("go")


@step
async def third() -> int:
    return await reached("")


@step
async def fourth() -> int:
    return await reached("on")


@workflow
async def flow() -> list[int]:
    return [await first(), await second(), await third(), await fourth()]
"""
"""The attempt of each step; the second and the fourth are held until there is a file."""

SOON = {"spec": {"terminationGracePeriodSeconds": 4}}
"""A podTemplate for pods that can be deleted soon, though a step is held in them."""


@dataclass(frozen=True, slots=True)
class Used:
    """The release, and a stage for Workflows in a team's namespace, with which the release has to share its Secret.

    `other`: the namespace of another team, which stays when that of the first one is deleted.
    """

    release: Release
    stage: Stage
    other: str

    @classmethod
    @contextmanager
    def on(cls, cluster: Cluster, image: Image, folder: Path) -> Iterator[Used]:
        """Install it; whatever is left of it goes with the block."""
        release, team, other = Release(cluster, folder), team_namespace(cluster), team_namespace(cluster, "other")
        try:
            release.install(f"--set=workflows.databaseSecret.namespaces={{{team},{other}}}")
            installation = cls._installation(release, image)
            try:
                yield cls(release, Stage(installation, team), other)
            finally:
                installation.store.close()
        finally:
            _remove(cluster, release.namespace, team, other)

    @staticmethod
    def _installation(release: Release, image: Image) -> Installation:
        passwords = release.passwords()
        store = Store(release.cluster, release.namespace, "perdure-postgres", passwords["perdure-database"])
        return Installation(
            release.cluster, image, release.namespace, store, pod_password=passwords["perdure-pod-database"]
        )

    @property
    def store(self) -> Store:
        """The store, by the password that the release had at first."""
        return self.stage.installation.store

    def start(self, name: str, **spec: Any) -> str:
        """Start a run of `HELD_TWICE` whose pod can be deleted soon; its UID."""
        return self.stage.start(name, HELD_TWICE, podTemplate=SOON, **spec)

    def until_steps(self, uid: str, steps: int) -> None:
        """Wait until a run has so many checkpoints, and its attempt is in the next step, or about to begin it."""
        eventually(lambda: len(self.store.steps(uid)) == steps, PATIENCE, every=0.3)

    def let(self, name: str, *files: str) -> None:
        """Let the newest attempt of a run go on, once its container is there."""
        pod = self.stage.pods(name)[-1]["metadata"]["name"]
        pods.until_running(self.stage.cluster, self.stage.namespace, pod, PATIENCE)
        for file in files:
            pods.run_in(self.stage.cluster, self.stage.namespace, pod, ["touch", f"/tmp/{file}"], container="workflow")


def _remove(cluster: Cluster, *namespaces: str) -> None:
    """Delete all that a release makes, and nothing that is gone already; there is no other on this cluster."""
    api, roles = cluster.api, "/apis/rbac.authorization.k8s.io/v1"
    for namespace in namespaces:
        if api.find(f"/api/v1/namespaces/{namespace}") is not None:
            api.delete(f"/api/v1/namespaces/{namespace}")
    eventually(lambda: all(_gone(cluster, namespace) for namespace in namespaces), PATIENCE, every=0.3)
    for kind in ("clusterrolebindings", "clusterroles"):
        api.delete(f"{roles}/{kind}", labelSelector="app.kubernetes.io/part-of=perdure")
    kind_of_ours = crd_path(workflow_crd())
    if api.find(kind_of_ours) is not None:
        api.delete(kind_of_ours)
    eventually(lambda: api.find(kind_of_ours) is None, PATIENCE, every=0.3)
    cluster.reclaim_volumes()


def _gone(cluster: Cluster, namespace: str) -> bool:
    found: Json | None = cluster.api.find(f"/api/v1/namespaces/{namespace}")
    assert found is None, found["status"]
    return True
