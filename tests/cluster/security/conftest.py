"""A cluster and a release of the packaged chart for the tests of this folder: nobody else's deeds are in its log."""

from __future__ import annotations

import pytest

from tests.cluster.api import Json
from tests.cluster.chart.conftest import chart_images, cluster, release
from tests.cluster.chart.release import Release, team_namespace
from tests.cluster.cluster import Cluster

__all__ = ["chart_images", "cluster", "release"]


@pytest.fixture(scope="package")
def team(cluster: Cluster) -> str:
    """A namespace for Workflows."""
    return team_namespace(cluster)


@pytest.fixture(scope="package")
def others(cluster: Cluster) -> str:
    """The namespace of another team."""
    return team_namespace(cluster, "others")


@pytest.fixture(scope="package")
def values(team: str, others: str) -> Json:
    """With the pods' Secret in both."""
    return {"workflows": {"databaseSecret": {"namespaces": [team, others]}}}


@pytest.fixture(scope="package")
def installed(release: Release, values: Json) -> Release:
    """Installed for all namespaces."""
    release.install(release.helm.values(values))
    return release
