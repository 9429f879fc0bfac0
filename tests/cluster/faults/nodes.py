"""What happens to nodes: drained, cut off, without power, frozen, forgotten by the API, without kubelet or containerd.

All but `drain` hold for a block. When it ends, however it does, the node is as before and in touch with the cluster.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

from tests.cluster.api import ApiException, Json
from tests.cluster.cluster import Cluster
from tests.harness.eventually import eventually

from .pods import evict

__all__ = [
    "cordon",
    "cut_off",
    "deleted",
    "drain",
    "drained",
    "frozen",
    "gone",
    "heartbeat",
    "off",
    "paused",
    "ready",
    "uncordon",
]

NodePart = Literal["kubelet", "containerd"]

_BACK = 90.0  # seconds; a connection that died unnoticed may be given up only after 45
_LIFECYCLE = "node.kubernetes.io/"
_OWN = "node.kubernetes.io/unschedulable"  # cordoned by a person


def cordon(cluster: Cluster, node: str) -> None:
    """Let no new pod be scheduled on a node."""
    cluster.api.patch(_path(node), {"spec": {"unschedulable": True}})


def uncordon(cluster: Cluster, node: str) -> None:
    """Let pods be scheduled on a node again."""
    cluster.api.patch(_path(node), {"spec": {"unschedulable": None}})


def drain(cluster: Cluster, node: str, deadline: float = 60) -> None:
    """Cordon a node and evict its pods, as `kubectl drain --ignore-daemonsets`; returns when they are gone.

    An eviction that a budget forbids is tried again until `deadline` seconds are over.

    Raises:
        AssertionError: a pod is still there then.
    """
    cordon(cluster, node)
    ends = time.monotonic() + deadline
    for pod in [pod for pod in _pods_on(cluster, node) if _evictable(pod)]:
        eventually(partial(_evicted, cluster, pod), ends - time.monotonic(), every=0.5)
    eventually(lambda: not any(map(_evictable, _pods_on(cluster, node))), ends - time.monotonic())


@contextmanager
def drained(cluster: Cluster, node: str, deadline: float = 60) -> Iterator[None]:
    """Drain a node; it takes pods again when the block ends."""
    try:
        drain(cluster, node, deadline)
        yield
    finally:
        uncordon(cluster, node)


@contextmanager
def cut_off(cluster: Cluster, node: str) -> Iterator[None]:
    """Cut a node off from everything; it shows as not ready after some 50 s. Needs `PARTITION`."""
    last = None
    try:
        with cluster.cut_off(node):
            last = heartbeat(cluster, node)
            yield
    finally:
        _until_back(cluster, node, last)


@contextmanager
def off(cluster: Cluster, node: str) -> Iterator[None]:
    """Take the power from a node: all that runs there is killed; it starts anew when the block ends.

    It shows as not ready after some 50 s. Needs `NODE_POWER`.
    """
    machine = cluster.machine(node)
    machine.kill()
    last = heartbeat(cluster, node)
    try:
        yield
    finally:
        machine.start()
        _until_back(cluster, node, last)


@contextmanager
def frozen(cluster: Cluster, node: str) -> Iterator[None]:
    """Hold all of a node, as a hypervisor does that is busy: nothing moves there, and then all goes on.

    Needs `NODE_POWER`.
    """
    last = None
    try:
        with cluster.machine(node).paused():
            last = heartbeat(cluster, node)
            yield
    finally:
        _until_back(cluster, node, last)


@contextmanager
def deleted(cluster: Cluster, node: str) -> Iterator[None]:
    """Delete a node's object, and make it anew when the block ends, since a kubelet does so only when it starts.

    What runs on the node runs on, until after 40 to 60 s the API forgets its pods, too.
    """
    before = cluster.api.get(_path(node))
    meta = {key: before["metadata"].get(key) or {} for key in ("labels", "annotations")}
    spec = before["spec"]
    spec["taints"] = [taint for taint in spec.get("taints", []) if not taint["key"].startswith(_LIFECYCLE)]
    # A kubelet that sees its node without room refuses pods. Whether it is ready it must say itself.
    status = {key: value for key, value in before["status"].items() if key != "conditions"}
    cluster.api.delete(_path(node))
    try:
        yield
    finally:
        last = heartbeat(cluster, node)
        try:
            cluster.api.create("/api/v1/nodes", {"metadata": {"name": node, **meta}, "spec": spec, "status": status})
        except ApiException as error:
            if error.status != 409:
                raise
        _until_back(cluster, node, last)


@contextmanager
def gone(cluster: Cluster, node: str, name: NodePart) -> Iterator[None]:
    """Kill a node's kubelet or containerd and start it again when the block ends; its containers run on.

    A node whose kubelet is gone shows as not ready after some 50 s; without containerd, after 30. Needs `NODE_PARTS`.
    """
    part = cluster.part(name, node)
    part.kill()
    last = None
    try:
        last = heartbeat(cluster, node)
        yield
    finally:
        if not part.running:
            part.start()
        _until_serving(cluster, node, name, last)


@contextmanager
def paused(cluster: Cluster, node: str, name: NodePart) -> Iterator[None]:
    """Hold a node's kubelet or containerd: it is there, and answers nothing. Needs `NODE_PARTS`."""
    last = None
    try:
        with cluster.part(name, node).paused():
            last = heartbeat(cluster, node)
            yield
    finally:
        _until_serving(cluster, node, name, last)


def heartbeat(cluster: Cluster, node: str) -> str | None:
    """When the kubelet of a node last said that it lives, which it does every 10 s."""
    lease = cluster.api.find(f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}")
    return str(lease["spec"]["renewTime"]) if lease else None


def ready(cluster: Cluster, node: str) -> bool:
    """Whether a node is ready, and its own troubles keep no pod away."""
    shown = cluster.api.get(_path(node))
    taints = [taint["key"] for taint in shown["spec"].get("taints", [])]
    conditions = {one["type"]: one["status"] for one in shown["status"].get("conditions", [])}
    troubled = any(key.startswith(_LIFECYCLE) and key != _OWN for key in taints)
    return conditions.get("Ready") == "True" and not troubled


def _until_serving(cluster: Cluster, node: str, name: NodePart, last: str | None) -> None:
    if name == "containerd":
        eventually(lambda: _containerd_answers(cluster, node), _BACK)
        last = None  # the kubelet's heartbeat has never stopped
    _until_back(cluster, node, last)


def _until_back(cluster: Cluster, node: str, last: str | None) -> None:
    """Wait until a node is ready and its heartbeat another than `last`."""
    eventually(lambda: heartbeat(cluster, node) not in {last, None} and ready(cluster, node), _BACK)


def _containerd_answers(cluster: Cluster, node: str) -> bool:
    try:
        return bool(cluster.ctr(node, "version"))
    except RuntimeError:
        return False


def _evicted(cluster: Cluster, pod: Json) -> bool:
    try:
        evict(cluster, pod["metadata"]["namespace"], pod["metadata"]["name"])
    except ApiException as error:
        # What goes with its namespace cannot be evicted, and need not be.
        if error.status not in {404, 429} and "NamespaceTerminating" not in str(error.body):
            raise
        return error.status == 404
    return True


def _evictable(pod: Json) -> bool:
    owners = [owner["kind"] for owner in pod["metadata"].get("ownerReferences", []) if owner.get("controller")]
    return owners != ["DaemonSet"] and "kubernetes.io/config.mirror" not in pod["metadata"].get("annotations", {})


def _pods_on(cluster: Cluster, node: str) -> list[Json]:
    on_it = cluster.api.get("/api/v1/pods", fieldSelector=f"spec.nodeName={node}")
    return list(on_it["items"])


def _path(node: str) -> str:
    return f"/api/v1/nodes/{node}"
