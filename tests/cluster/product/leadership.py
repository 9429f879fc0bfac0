"""Which operator of an installation leads."""

from __future__ import annotations

from tests.cluster.api import Json

from . import operator
from .installation import Installation

__all__ = ["holder", "leader", "lease"]


def lease(installation: Installation) -> Json:
    """The spec of the Lease."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{installation.namespace}/leases/{operator.NAME}"
    spec: Json = installation.cluster.api.get(path)["spec"]
    return spec


def holder(installation: Installation) -> str:
    """Who holds the Lease: the name of its pod, and more; empty while nobody does."""
    return str(lease(installation)["holderIdentity"])


def leader(installation: Installation) -> Json:
    """The pod of the operator that leads."""
    path = f"/api/v1/namespaces/{installation.namespace}/pods"
    items = installation.cluster.api.get(path, labelSelector=f"app={operator.NAME}")["items"]
    (found,) = [pod for pod in items if holder(installation).startswith(pod["metadata"]["name"])]
    return dict(found)
