"""The CRD, installed, and a namespace that enforces Pod Security `restricted`."""

from __future__ import annotations

from collections.abc import Iterator
from secrets import token_hex

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.crds import install_crd, workflow_crd


@pytest.fixture(scope="package")
def here(cluster: Cluster) -> Iterator[str]:
    """The path of Workflows in the namespace."""
    install_crd(cluster.api, workflow_crd())
    name = f"test-{token_hex(4)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    yield f"/apis/perdure.io/v1alpha1/namespaces/{name}/workflows"
    cluster.api.delete(f"/api/v1/namespaces/{name}")
