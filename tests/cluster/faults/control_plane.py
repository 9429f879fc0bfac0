"""What happens to the control plane: its parts killed, gone for a while, paused; its node without power.

When a fault ends, however it does, the part is there again and the API server answers with what etcd holds.
All need `CONTROL_PLANE`, but for `off`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from urllib3.exceptions import HTTPError

from tests.cluster.api import Api, ApiException
from tests.cluster.cluster import Cluster
from tests.harness.eventually import eventually

__all__ = ["ControlPlanePart", "gone", "off", "paused", "restart"]

ControlPlanePart = Literal["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]

_BACK = 60.0  # seconds
_ANSWER = 5.0  # seconds


def restart(cluster: Cluster, name: ControlPlanePart) -> None:
    """Kill a part by SIGKILL and start it again at once."""
    cluster.part(name).restart()
    _until_answering(cluster)


@contextmanager
def gone(cluster: Cluster, name: ControlPlanePart) -> Iterator[None]:
    """Kill a part, and start it again when the block ends."""
    part = cluster.part(name)
    part.kill()
    try:
        yield
    finally:
        if not part.running:
            part.start()
        _until_answering(cluster)


@contextmanager
def off(cluster: Cluster) -> Iterator[None]:
    """Take the power from the node of the control plane, until the block ends. Needs `NODE_POWER`."""
    machine = cluster.machine(cluster.control_plane_node)
    machine.kill()
    try:
        yield
    finally:
        machine.start()
        _until_answering(cluster)


@contextmanager
def paused(cluster: Cluster, name: ControlPlanePart) -> Iterator[None]:
    """Hold a part: it is there, its connections stay open, and it answers nothing."""
    try:
        with cluster.part(name).paused():
            yield
    finally:
        _until_answering(cluster)


def _until_answering(cluster: Cluster) -> None:
    api = cluster.another_api(_ANSWER)
    try:
        eventually(lambda: _answers(api), _BACK)
    finally:
        api.close()


def _answers(api: Api) -> bool:
    try:
        # The second comes from etcd itself.
        return api.text("/readyz") == "ok" and bool(api.get("/api/v1/namespaces/default"))
    except (ApiException, HTTPError):
        return False
