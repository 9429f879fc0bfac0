"""The cluster that PERDURE_TEST_KUBECONFIG names: whatever it is, it is left as it was found, but for images."""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from .api import ApiException
from .cluster import Cluster
from .environment import IMAGE, KUBECONFIG
from .images import Image

__all__ = ["GivenCluster", "given_cluster"]

_PUBLIC_IMAGE = "python:3.11-slim"


class GivenCluster(Cluster):
    """Somebody's cluster, of which nothing is known but its API."""

    def __init__(self, kubeconfig: str) -> None:
        self.kubeconfig = Path(kubeconfig).expanduser()
        self.title = f"the cluster of {KUBECONFIG}={kubeconfig}"
        self.image = os.environ.get(IMAGE) or _PUBLIC_IMAGE

    def load(self, image: Image) -> None:
        raise RuntimeError(f"{image.name} cannot be brought to {self.title}: it has to pull its images")


def given_cluster(kubeconfig: str) -> GivenCluster:
    """The cluster of that kubeconfig.

    Raises:
        RuntimeError: there is no such file, or the cluster does not answer.
    """
    given = GivenCluster(kubeconfig)
    try:
        given.api.get("/version")
    except (ConfigException, ApiException, HTTPError, OSError) as error:
        raise RuntimeError(f"{given.title} does not answer: {error}") from error
    return given
