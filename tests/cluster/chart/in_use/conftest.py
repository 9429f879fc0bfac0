"""One release for all tests here, installed on an empty cluster, which is empty again after them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.evidence import Evidence
from tests.cluster.images import Image, build
from tests.cluster.off_the_clock import off_the_clock
from tests.cluster.product.image import ProductImages

from ..conftest import on_all_nodes
from .used import Used

_NEXT = Path(__file__).resolve().parent / "next_release"

LATER = "0.2.0"
"""The version of the next release: later than any that the chart has had."""


@pytest.fixture(scope="package")
def used(
    cluster: Cluster,
    chart_images: ProductImages,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Used]:
    """The release; what its pods and those of its Workflows said is kept if a test fails."""
    with Used.on(cluster, chart_images.runtime, tmp_path_factory.mktemp("used")) as used:
        yield used
        if request.session.testsfailed:
            for namespace in (used.release.namespace, used.stage.namespace):
                Evidence.of(request.config).keep_namespace(cluster, namespace, "a release in use")


@pytest.fixture(scope="package")
def later(cluster: Cluster, chart_images: ProductImages, request: pytest.FixtureRequest) -> str:
    """The version of the next release, whose images are on all nodes."""
    with off_the_clock(request):
        on_all_nodes(cluster, ProductImages(*(_next(image) for image in chart_images)), LATER)
    return LATER


def _next(image: Image) -> Image:
    name = image.name.rpartition("/")[2].partition(":")[0]
    return build(_NEXT / "Dockerfile", _NEXT, f"{name}-next", base=image, say=print)
