"""The cluster is a real one: what its users take for granted works on it."""

from __future__ import annotations

from . import pods
from .cluster import Cluster


def test_a_pod_runs_on_each_node(cluster: Cluster, namespace: str) -> None:
    for node in cluster.nodes:
        pods.create(cluster, namespace, pods.python(cluster, f"on-{node}", "print('here')", nodeName=node))
    for node in cluster.nodes:
        pod = pods.until_ended(cluster, namespace, f"on-{node}")
        assert pod["status"]["phase"] == "Succeeded"
        assert pods.logs(cluster, namespace, f"on-{node}") == "here\n"


def test_a_command_runs_in_a_pod(cluster: Cluster, namespace: str) -> None:
    pods.create(cluster, namespace, pods.python(cluster, "sleeper"))
    pods.until_running(cluster, namespace, "sleeper")
    assert pods.run_in(cluster, namespace, "sleeper", ["python3", "-c", "print(6 * 7)"]) == "42\n"
