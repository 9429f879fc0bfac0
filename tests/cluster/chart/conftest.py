"""A cluster of its own for the chart, which is empty at first, and on whose nodes the product's images are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.conftest import serve
from tests.cluster.evidence import Evidence
from tests.cluster.off_the_clock import off_the_clock
from tests.cluster.product.image import ProductImages, perdure_images

from .release import VERSION, Release


@pytest.fixture(scope="package")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Nobody else's operator is here, which would see our Workflows, too."""
    yield from serve(request)


@pytest.fixture(scope="package")
def chart_images(cluster: Cluster, request: pytest.FixtureRequest) -> ProductImages:
    """The product's images, on all nodes under the names by which the chart knows them."""
    with off_the_clock(request):
        images = perdure_images(print)
        on_all_nodes(cluster, images, VERSION)
    return images


def on_all_nodes(cluster: Cluster, images: ProductImages, version: str) -> None:
    """Bring images to all nodes as those of a version."""
    for image, name in ((images.operator, "perdure"), (images.runtime, "perdure-runtime")):
        cluster.load(image)
        for node in cluster.nodes:
            cluster.ctr(node, "images", "tag", image.name, f"docker.io/library/{name}:{version}")


@pytest.fixture(scope="package")
def release(
    cluster: Cluster,
    chart_images: ProductImages,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Release]:
    """A release that is installed by whoever asks first; what its pods said is kept if a test fails."""
    made = Release(cluster, tmp_path_factory.mktemp("helm"))
    yield made
    if request.session.testsfailed:
        Evidence.of(request.config).keep_namespace(cluster, made.namespace, "the release")
