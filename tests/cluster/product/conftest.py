"""An installation of the product that the tests here share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.evidence import Evidence
from tests.cluster.off_the_clock import off_the_clock

from .image import ProductImages, perdure_images
from .installation import Installation


@pytest.fixture(scope="session")
def product_images(cluster: Cluster, request: pytest.FixtureRequest) -> ProductImages:
    """The product's images, on every node."""
    with off_the_clock(request):
        images = perdure_images(print)
        for image in images:
            cluster.load(image)
    return images


@pytest.fixture(scope="session")
def perdure(cluster: Cluster, product_images: ProductImages, request: pytest.FixtureRequest) -> Iterator[Installation]:
    """Operator and Postgres, in a namespace of their own; what they said is kept if a test fails."""
    with Installation.make(cluster, product_images) as installation:
        yield installation
        if request.session.testsfailed:
            Evidence.of(request.config).keep_namespace(cluster, installation.namespace, "the installation")


@pytest.fixture
def workspace(perdure: Installation) -> Iterator[str]:
    """A namespace for the Workflows of one test."""
    with perdure.workspace() as namespace:
        yield namespace
