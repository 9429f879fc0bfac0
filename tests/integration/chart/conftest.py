"""Helm, and a real API server that says what Kubernetes makes of a chart's manifests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.built.certificates import Authority
from tests.cluster.helm import Helm
from tests.harness.postgres import Servers
from tests.harness.workspace import Workspace
from tests.integration.operator.conftest import api_server, namespace, scene

from .tls_server import TlsServer

__all__ = ["api_server", "namespace", "scene"]


@pytest.fixture(scope="session")
def helm(workspace: Workspace) -> Helm:
    return Helm(workspace.new_folder("helm"), print)


@pytest.fixture
def server(servers: Servers, workspace: Workspace, tmp_path: Path) -> Iterator[TlsServer]:
    """A Postgres with TLS."""
    with TlsServer.start(servers, workspace, Authority(tmp_path / "authority")) as made:
        yield made
