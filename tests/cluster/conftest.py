"""The cluster that the tests share, a namespace for each test, and the mark by which a test asks for a capability."""

from __future__ import annotations

import os
from collections.abc import Iterator
from secrets import token_hex

import pytest

from .built.prerequisites import Lacking
from .cluster import Cluster
from .provide import a_cluster


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A real Kubernetes with two nodes; `provide` says which."""
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(line)

    try:
        opened = a_cluster(say)
        cluster = opened.__enter__()
    except Lacking as lacking:
        _unserved(str(lacking))
    try:
        yield cluster
    finally:
        opened.__exit__(None, None, None)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace for one test; it goes with everything in it."""
    name = f"test-{token_hex(4)}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    cluster.api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture(autouse=True)
def _capabilities(request: pytest.FixtureRequest) -> None:
    for mark in request.node.iter_markers("capability"):
        cluster = request.getfixturevalue("cluster")
        for capability in mark.args:
            if capability not in cluster.capabilities:
                pytest.skip(f"{cluster.title} does not offer {capability}")


def _unserved(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)
