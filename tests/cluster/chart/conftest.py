"""A cluster of its own for the chart, which is empty at first, and on whose nodes the product's image is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.cluster import Cluster
from tests.cluster.conftest import serve
from tests.cluster.evidence import Evidence
from tests.cluster.helm import CHART
from tests.cluster.product.image import perdure_image

from .release import Release


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Nobody else's operator is here, which would see our Workflows, too."""
    yield from serve(request)


@pytest.fixture(scope="package")
def release(
    cluster: Cluster, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """A release that is installed by whoever asks first; what its pods said is kept if a test fails."""
    image = perdure_image(print)
    cluster.load(image)
    # Under the name by which the chart knows it.
    named = f"docker.io/library/perdure:{_version()}"
    for node in cluster.nodes:
        cluster.ctr(node, "images", "tag", image.name, named)
    made = Release(cluster, tmp_path_factory.mktemp("helm"))
    yield made
    if request.session.testsfailed:
        Evidence.of(request.config).keep_namespace(cluster, made.namespace, "the release")


def _version() -> str:
    return str(yaml.safe_load(Path(CHART, "Chart.yaml").read_text())["appVersion"])
