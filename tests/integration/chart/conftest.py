"""Helm, and a real API server that says what Kubernetes makes of a chart's manifests."""

from __future__ import annotations

import pytest

from tests.cluster.helm import Helm
from tests.harness.workspace import Workspace
from tests.integration.operator.conftest import api_server, namespace, scene

__all__ = ["api_server", "namespace", "scene"]


@pytest.fixture(scope="session")
def helm(workspace: Workspace) -> Helm:
    return Helm(workspace.new_folder("helm"), print)
