"""`python -m tests.cluster.measure`: how long pods of the cluster take from their creation until their process runs."""

from __future__ import annotations

import statistics
import sys
import time
from secrets import token_hex
from typing import Any

from . import pods
from .cluster import Cluster
from .provide import a_cluster

__all__ = ["measure", "start_times"]

_PODS = 20


def start_times(cluster: Cluster, namespace: str, number: int, **spec: Any) -> list[float]:
    """Seconds from the call that creates a pod to the first line of its Python, for so many pods, one after another.

    The clocks of the node and of this machine must agree. `spec` is laid over the pods' spec.
    """
    seconds = []
    for index in range(number):
        name = f"measured-{token_hex(2)}-{index}"
        created = time.time()
        pods.create(cluster, namespace, pods.python(cluster, name, "import time; print(time.time())", **spec))
        pods.until_ended(cluster, namespace, name)
        seconds.append(float(pods.logs(cluster, namespace, name)) - created)
        cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}")
        pods.until_gone(cluster, namespace, name)  # so that its end does not disturb the next
    return seconds


def measure() -> int:
    """Measure on the cluster that the tests would take."""
    kinds: dict[str, Any] = {
        "with a service account token": {},
        "without any volume": {"automountServiceAccountToken": False},
    }
    with a_cluster(lambda line: print(line, file=sys.stderr)) as cluster:
        namespace = f"measure-{token_hex(4)}"
        cluster.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
        try:
            start_times(cluster, namespace, 2)  # what happens only once
            for kind, spec in kinds.items():
                seconds = sorted(start_times(cluster, namespace, _PODS, **spec))
                median, worst = statistics.median(seconds), seconds[-1]
                print(f"pod created to process running, {kind}: median {median:.2f} s, slowest {worst:.2f} s")
        finally:
            cluster.api.delete(f"/api/v1/namespaces/{namespace}")
    return 0


if __name__ == "__main__":
    sys.exit(measure())
