"""A cluster of its own for the chart, which is empty at first, and on whose nodes the product's image is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.conftest import serve
from tests.cluster.evidence import Evidence
from tests.cluster.images import Image
from tests.cluster.off_the_clock import off_the_clock
from tests.cluster.product.image import perdure_image

from .release import VERSION, Release


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Nobody else's operator is here, which would see our Workflows, too."""
    yield from serve(request)


@pytest.fixture(scope="package")
def chart_image(cluster: Cluster, request: pytest.FixtureRequest) -> Image:
    """The product's image, on all nodes under the name by which the chart knows it."""
    with off_the_clock(request):
        image = perdure_image(print)
        on_all_nodes(cluster, image, VERSION)
    return image


def on_all_nodes(cluster: Cluster, image: Image, version: str) -> None:
    """Bring an image to all nodes as that of a version."""
    cluster.load(image)
    for node in cluster.nodes:
        cluster.ctr(node, "images", "tag", image.name, f"docker.io/library/perdure:{version}")


@pytest.fixture(scope="package")
def release(
    cluster: Cluster, chart_image: Image, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """A release that is installed by whoever asks first; what its pods said is kept if a test fails."""
    made = Release(cluster, tmp_path_factory.mktemp("helm"))
    yield made
    if request.session.testsfailed:
        Evidence.of(request.config).keep_namespace(cluster, made.namespace, "the release")
