"""Which node an installation's own pods are on, and which is free of them, so that a fault may strike it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.cluster import Cluster
from tests.cluster.faults import nodes

from . import operator, postgres
from .installation import Installation

__all__ = ["free_node", "only_on"]


def free_node(installation: Installation) -> str:
    """A node that has nothing of the installation's: not its Postgres, and its operator no longer."""
    cluster, namespace = installation.cluster, installation.namespace
    path = f"/api/v1/namespaces/{namespace}/pods"
    store = cluster.api.get(f"{path}/{postgres.NAME}-0")["spec"]["nodeName"]
    free = next(node for node in cluster.nodes if node != store)
    there = cluster.api.get(path, labelSelector=f"app={operator.NAME}", fieldSelector=f"spec.nodeName={free}")["items"]
    if there:
        with only_on(cluster, store):
            for pod in there:
                cluster.api.delete(f"{path}/{pod['metadata']['name']}")
            operator.until_available(cluster.api, namespace, len(there))
    return free


@contextmanager
def only_on(cluster: Cluster, node: str) -> Iterator[None]:
    """Have all new pods go to one node until the block ends."""
    others = [other for other in cluster.nodes if other != node]
    for other in others:
        nodes.cordon(cluster, other)
    try:
        yield
    finally:
        for other in others:
            nodes.uncordon(cluster, other)
