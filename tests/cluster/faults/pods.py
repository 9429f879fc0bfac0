"""What happens to pods: their processes are killed, they are deleted and evicted, their memory runs out.

Nothing here has to be restored: whoever made the pod looks after it.
"""

from __future__ import annotations

from tests.cluster import pods
from tests.cluster.api import Json
from tests.cluster.cluster import Cluster

__all__ = ["delete", "evict", "fill_memory", "kill_container", "kill_process"]

_KILL = """
import os, signal, sys
pattern, sent = sys.argv[1].encode(), signal.Signals[sys.argv[2]]
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        line = open(f"/proc/{pid}/cmdline", "rb").read().rstrip(bytes(1)).replace(bytes(1), b" ")
    except OSError:
        continue
    if pattern in line and int(pid) != os.getpid():
        found.append((int(pid), line.decode()))
if len(found) != 1:
    sys.exit(f"one process was to be killed, these match: {found}")
os.kill(found[0][0], sent)
"""

# Of all processes the kernel kills the one with the largest score: its memory, and a bonus. So the first process gets
# the largest bonus, this one the smallest that it may have, and the memory that it takes is mapped by nobody.
_FILL = """
import os
open("/proc/1/oom_score_adj", "w").write("1000")
for score in range(0, 1000, 10):
    try:
        open("/proc/self/oom_score_adj", "w").write(str(score))
    except OSError:
        continue
    break
memory, block = os.memfd_create("filling"), bytes(2**18)
while True:
    os.write(memory, block)
"""


def kill_process(
    cluster: Cluster, namespace: str, name: str, pattern: str, *, container: str = "main", signal: str = "SIGKILL"
) -> None:
    """Send a signal to the one process of a container whose command line holds `pattern`.

    The container needs Python. Its first process ignores what it has no handler for, SIGKILL too: `kill_container`.

    Raises:
        RuntimeError: no process matches, or several do; the message holds them.
    """
    pods.run_in(cluster, namespace, name, ["python3", "-c", _KILL, pattern, signal], container)


def kill_container(cluster: Cluster, namespace: str, name: str, container: str = "main") -> None:
    """Kill a whole container at once: its first process gets SIGKILL, and takes all others along.

    Needs `NODE_COMMANDS`.
    """
    pod = pods.get(cluster, namespace, name)
    _, _, identity = pods.status(pod, container)["containerID"].partition("://")
    cluster.ctr(pod["spec"]["nodeName"], "tasks", "kill", "--signal=SIGKILL", identity)


def delete(cluster: Cluster, namespace: str, name: str, *, grace: int | None = None) -> None:
    """Delete a pod, with `grace` seconds until it is killed or with its own.

    With 0 the pod is gone at once, whether or not its node knows: its processes may still run.
    """
    options = None if grace is None else {"gracePeriodSeconds": grace}
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}", options)


def evict(cluster: Cluster, namespace: str, name: str) -> Json:
    """Ask for a pod's eviction, as a drain does; raises ApiException of status 429 where a budget forbids it."""
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
    return cluster.api.create(f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", eviction)


def fill_memory(cluster: Cluster, namespace: str, name: str, container: str = "main") -> None:
    """Fill a container's memory until the kernel kills its first process, and so the container.

    The container needs Python and a memory limit.
    """
    containers = {one["name"]: one for one in pods.get(cluster, namespace, name)["spec"]["containers"]}
    limits = containers[container].get("resources", {}).get("limits", {})
    assert "memory" in limits, f"without a limit {container} of {name} would fill the memory of its node"
    try:
        pods.run_in(cluster, namespace, name, ["python3", "-IS", "-c", _FILL], container)
    except RuntimeError as error:
        if " ended with 137 " not in str(error):
            raise
