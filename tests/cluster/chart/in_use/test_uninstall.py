"""Taken away under running Workflows it leaves nothing stuck in deletion, and installed again it finds what it left."""

from __future__ import annotations

import pytest

from tests.cluster.api import Json
from tests.cluster.cluster import Capability, Cluster
from tests.cluster.crds import crd_path, workflow_crd
from tests.cluster.product import workflows
from tests.harness.eventually import eventually

from .used import HELD_TWICE, SOON, Used

pytestmark = [pytest.mark.capability(Capability.NODE_COMMANDS), pytest.mark.timeout(300)]

PATIENCE = 60.0  # seconds


def held(name: str) -> Json:
    return workflows.workflow(name, HELD_TWICE, podTemplate=SOON)


def until_gone(cluster: Cluster, path: str) -> None:
    def gone() -> bool:
        found: Json | None = cluster.api.find(path)
        assert found is None, found.get("status")
        return True

    eventually(gone, PATIENCE, every=0.3)


def test_without_an_operator_namespaces_and_the_kind_can_be_deleted(used: Used) -> None:
    cluster, release, team = used.stage.cluster, used.release, used.stage.namespace
    uid = used.start("left")
    made = workflows.create(cluster, used.other, held("here"))
    here = made["metadata"]["uid"]
    workflows.until_reason(cluster, used.other, "here", "Running", PATIENCE)
    used.until_steps(uid, 1)

    release.uninstall()
    cluster.api.delete(f"/api/v1/namespaces/{team}")
    until_gone(cluster, f"/api/v1/namespaces/{team}")
    # With the kind go all Workflows, and with these their pods.
    cluster.api.delete(crd_path(workflow_crd()))
    until_gone(cluster, crd_path(workflow_crd()))
    selector = {"labelSelector": f"perdure.io/workflow-uid={here}"}
    eventually(
        lambda: not cluster.api.get(f"/api/v1/namespaces/{used.other}/pods", **selector)["items"],
        PATIENCE,
        every=0.3,
    )


def test_installed_again_it_goes_on_with_its_volume_and_brings_the_kind(used: Used) -> None:
    cluster, release = used.stage.cluster, used.release
    before = release.secrets()
    notes = release.install(f"--set=workflows.databaseSecret.namespaces={{{used.other}}}")
    assert "the kind Workflow with all Workflows" in notes  # among what an uninstall leaves
    assert release.secrets() == before
    workflows.create(cluster, used.other, held("again"))
    workflows.until_reason(cluster, used.other, "again", "Running", PATIENCE)
    # The runs whose Workflows went while nobody was there.
    active = "SELECT name FROM perdure.runs WHERE state IN ('pending', 'running', 'waiting') AND NOT cancel"
    eventually(lambda: [row["name"] for row in used.store.rows(active)] == ["again"], PATIENCE, every=0.5)

    release.uninstall()
    assert cluster.api.find(crd_path(workflow_crd())) is not None
    assert release.secrets() == before
    assert release.there("persistentvolumeclaims") == {"data-perdure-postgres-0"}
    cluster.api.delete(f"/api/v1/namespaces/{release.namespace}")
    until_gone(cluster, f"/api/v1/namespaces/{release.namespace}")
