"""What happens to the processes of a Workflow's pod. All but `kill_user_process` need `NODE_COMMANDS`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster import pods
from tests.cluster.api import Json
from tests.cluster.cluster import Cluster

__all__ = ["all_paused", "kill_container", "kill_supervisor", "kill_user_process", "paused", "touch"]

_CONTAINER = "workflow"

_KILL_CHILD = """
import os, signal, sys, time
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        state, parent, *_ = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    except OSError:
        continue
    if parent == "1" and state != "Z":
        found.append(int(pid))
if len(found) != 1:
    sys.exit(f"the first process has these children: {found}")
os.kill(found[0], signal.SIGKILL)
print(time.time())
"""


def kill_user_process(cluster: Cluster, pod: Json) -> float:
    """Kill the one child of the supervisor; when, in seconds since the epoch."""
    meta = pod["metadata"]
    command = ["python3", "-IS", "-c", _KILL_CHILD]
    return float(pods.run_in(cluster, meta["namespace"], meta["name"], command, _CONTAINER))


def kill_supervisor(cluster: Cluster, pod: Json) -> None:
    """Kill the container's first process, from outside: from inside that is forbidden. The kernel ends the others."""
    _ctr(cluster, pod, "tasks", "kill", "--signal=SIGKILL")


def kill_container(cluster: Cluster, pod: Json, container: str = _CONTAINER) -> None:
    """Kill all processes of a container at once."""
    _ctr(cluster, pod, "tasks", "kill", "--signal=SIGKILL", "--all", container=container)


@contextmanager
def paused(cluster: Cluster, pod: Json, container: str = _CONTAINER) -> Iterator[None]:
    """Hold a container's first process by SIGSTOP until the block ends."""
    _ctr(cluster, pod, "tasks", "kill", "--signal=SIGSTOP", container=container)
    try:
        yield
    finally:
        _ctr(cluster, pod, "tasks", "kill", "--signal=SIGCONT", container=container)


@contextmanager
def all_paused(cluster: Cluster, pod: Json) -> Iterator[None]:
    """Hold all processes of the workflow's container by SIGSTOP until the block ends."""
    # `ctr tasks kill --all` freezes the container for a moment, and where its processes are held that may last.
    node, listed = pod["spec"]["nodeName"], _ctr(cluster, pod, "tasks", "ps")
    pids = [line.split()[0] for line in listed.splitlines() if line[:1].isdigit()]
    cluster.run_on(node, "kill", "-STOP", *pids)
    try:
        yield
    finally:
        cluster.run_on(node, "kill", "-CONT", *pids)


def touch(cluster: Cluster, pod: Json, path: str) -> None:
    """Make an empty file in the container, without the API server's help."""
    _ctr(cluster, pod, "tasks", "exec", "--exec-id=touch", then=["touch", path])


def _ctr(
    cluster: Cluster, pod: Json, *arguments: str, container: str = _CONTAINER, then: list[str] | None = None
) -> str:
    _, _, identity = pods.status(pod, container)["containerID"].partition("://")
    return cluster.ctr(pod["spec"]["nodeName"], *arguments, identity, *(then or []))
