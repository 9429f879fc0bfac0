"""The CRD, installed, and a namespace that enforces Pod Security `restricted`."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex

import pytest

from perdure_operator.api.crd import crd
from tests.cluster.api import ApiException
from tests.cluster.cluster import Cluster
from tests.harness.eventually import eventually

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture(scope="package")
def here(cluster: Cluster) -> Iterator[str]:
    """The path of Workflows in the namespace."""
    definition = crd()
    cluster.api.apply(f"{CRDS}/{definition['metadata']['name']}", definition)
    eventually(lambda: established(cluster, definition["metadata"]["name"]))
    name = f"test-{token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    path = f"/apis/perdure.io/v1alpha1/namespaces/{name}/workflows"
    eventually(lambda: served(cluster, path))
    yield path
    cluster.api.delete(f"/api/v1/namespaces/{name}")


def established(cluster: Cluster, name: str) -> bool:
    conditions = cluster.api.get(f"{CRDS}/{name}")["status"].get("conditions") or []
    states = {condition["type"]: condition["status"] for condition in conditions}
    assert states.get("NonStructuralSchema") != "True", conditions
    return states.get("Established") == "True"


def served(cluster: Cluster, path: str) -> bool:
    """An API server serves a kind a moment after it says so; after a change of its schema it asks to wait (429)."""
    try:
        cluster.api.get(path)
    except ApiException as error:
        if error.status in (404, 429):
            return False
        raise
    return True
