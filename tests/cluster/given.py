"""The cluster that PERDURE_TEST_KUBECONFIG names: whatever it is, it is left as it was found, but for images."""

from __future__ import annotations

import os
from pathlib import Path

from .cluster import Cluster
from .images import Image

__all__ = ["KUBECONFIG", "GivenCluster"]

KUBECONFIG = "PERDURE_TEST_KUBECONFIG"
IMAGE = "PERDURE_TEST_IMAGE"  # for tests that need no more than Python in a pod
_PUBLIC_IMAGE = "python:3.11-slim"


class GivenCluster(Cluster):
    """Somebody's cluster, of which nothing is known but its API."""

    def __init__(self, kubeconfig: str) -> None:
        self.kubeconfig = Path(kubeconfig).expanduser()
        self.title = f"the cluster of {KUBECONFIG}={kubeconfig}"
        self.image = os.environ.get(IMAGE) or _PUBLIC_IMAGE

    def load(self, image: Image) -> None:
        raise RuntimeError(f"{image.name} cannot be brought to {self.title}: it has to pull its images")
