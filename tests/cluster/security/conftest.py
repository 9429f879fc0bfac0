"""A cluster and a release of the packaged chart for the tests of this folder: nobody else's deeds are in its log."""

from __future__ import annotations

from secrets import token_hex

import pytest

from tests.cluster.chart.conftest import chart_images, cluster, release
from tests.cluster.chart.release import RESTRICTED, Release
from tests.cluster.cluster import Cluster

__all__ = ["chart_images", "cluster", "release"]


@pytest.fixture(scope="package")
def team(cluster: Cluster) -> str:
    """A namespace for Workflows, which lets only restricted pods in."""
    return restricted_namespace(cluster, "team")


@pytest.fixture(scope="package")
def installed(release: Release, team: str) -> Release:
    """Installed for all namespaces, with the pods' Secret in one more than its own."""
    release.install(release.helm.values({"workflows": {"databaseSecret": {"namespaces": [team]}}}))
    return release


def restricted_namespace(cluster: Cluster, kind: str) -> str:
    """A namespace that lets only restricted pods in, and stays as long as the cluster."""
    name = f"{kind}-{token_hex(3)}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": RESTRICTED}})
    return name
