"""Pods for tests: made, watched, asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from kubernetes.stream import stream
from kubernetes.stream.ws_client import STDERR_CHANNEL, STDIN_CHANNEL, STDOUT_CHANNEL, WSClient

from tests.harness.eventually import eventually

from .api import ApiException, Json, core
from .cluster import Cluster

__all__ = [
    "beating",
    "create",
    "get",
    "gone",
    "logs",
    "longest_silence",
    "python",
    "run_in",
    "status",
    "until_ended",
    "until_gone",
    "until_running",
    "until_told_to_end",
]

_EXEC = 60.0  # seconds
_BEATING = "import time\nwhile True: print(time.time()); time.sleep(0.1)"
_RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def python(cluster: Cluster, name: str, code: str | None = None, **spec: Any) -> Json:
    """A pod that runs Python code, or sleeps, in the container `main`; `spec` is laid over its spec.

    It passes Pod Security `restricted`. `container` in `spec` is laid over its container.
    """
    container = {
        "name": "main",
        "image": cluster.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", code] if code is not None else ["sleep", "infinity"],
        "securityContext": _CONTAINER,
        **spec.pop("container", {}),
    }
    defaults = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "securityContext": _RESTRICTED}
    return {
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {**defaults, "containers": [container], **spec},
    }


def beating(cluster: Cluster, name: str, **spec: Any) -> Json:
    """A pod that prints the time ten times a second, for `longest_silence`; otherwise as `python`."""
    return python(cluster, name, _BEATING, **spec)


def create(cluster: Cluster, namespace: str, pod: Json) -> str:
    """Create a pod and return its name."""

    def created() -> str:
        try:
            return str(cluster.api.create(f"/api/v1/namespaces/{namespace}/pods", pod)["metadata"]["name"])
        except ApiException as error:
            # A new namespace gets its service account in a while, and later still after a fault.
            if "error looking up service account" not in str(error.body):
                raise
            return ""

    return eventually(created)


def get(cluster: Cluster, namespace: str, name: str) -> Json:
    """A pod as it is now."""
    return cluster.api.get(_path(namespace, name))


def gone(cluster: Cluster, namespace: str, name: str) -> bool:
    """Whether there is no pod of that name."""
    return cluster.api.find(_path(namespace, name)) is None


def status(pod: Json, container: str = "main") -> Json:
    """The status of a container in a pod, without which there is an AssertionError."""
    statuses = [one for one in pod["status"].get("containerStatuses") or [] if one["name"] == container]
    assert statuses, pod["status"]
    return statuses[0]


def until_told_to_end(cluster: Cluster, namespace: str, name: str) -> None:
    """Wait until the kubelet has sent SIGTERM to a pod: it says so just before it does."""

    def told() -> bool:
        selector = f"involvedObject.name={name},reason=Killing"
        events = cluster.api.get(f"/api/v1/namespaces/{namespace}/events", fieldSelector=selector)["items"]
        assert events, name
        return time.time() - datetime.fromisoformat(events[0]["firstTimestamp"]).timestamp() > 2

    eventually(told, 30, every=0.5)


def until_gone(cluster: Cluster, namespace: str, name: str, deadline: float = 30) -> None:
    """Wait until there is no pod of that name."""
    eventually(lambda: gone(cluster, namespace, name), deadline=deadline)


def until_running(cluster: Cluster, namespace: str, name: str, deadline: float = 30) -> Json:
    """Wait until every container of a pod runs and is ready, and return the pod."""

    def running() -> Json:
        pod = get(cluster, namespace, name)
        statuses = pod["status"].get("containerStatuses") or []
        assert statuses, pod["status"]
        assert all(status["ready"] for status in statuses), pod["status"]
        return pod

    return eventually(running, deadline=deadline)


def until_ended(cluster: Cluster, namespace: str, name: str, deadline: float = 30) -> Json:
    """Wait until a pod has succeeded or failed, and return it."""

    def ended() -> Json:
        pod = get(cluster, namespace, name)
        assert pod["status"]["phase"] in {"Succeeded", "Failed"}, pod["status"]
        return pod

    return eventually(ended, deadline=deadline)


def logs(cluster: Cluster, namespace: str, name: str, **query: str) -> str:
    """What a pod has printed."""
    return cluster.api.text(f"{_path(namespace, name)}/log", **query)


def longest_silence(cluster: Cluster, namespace: str, name: str) -> float:
    """The seconds between the two lines of a pod of `beating` that are furthest apart: how long it did not run."""
    times = [float(line) for line in logs(cluster, namespace, name).splitlines()]
    return max(after - before for before, after in pairwise(times))


def run_in(
    cluster: Cluster,
    namespace: str,
    name: str,
    command: Sequence[str],
    container: str = "main",
    stdin: str | None = None,
) -> str:
    """Run a command in a container to its end and return what it printed; `stdin` is what it reads.

    Raises:
        RuntimeError: it failed, and the message holds what it printed; or it did not run to its end.
    """
    # The client turns exec into a websocket by changing itself, so it gets a client of its own.
    api = cluster.another_api()
    opened = stream(
        core(api).connect_get_namespaced_pod_exec,
        name,
        namespace,
        container=container,
        command=list(command),
        stderr=True,
        stdin=stdin is not None,
        stdout=True,
        tty=False,
        _preload_content=False,
    )
    try:
        if stdin is not None:
            opened.write_stdin(stdin)
            opened.close_channel(STDIN_CHANNEL)
        opened.run_forever(timeout=_EXEC)
        printed = str(opened.read_channel(STDOUT_CHANNEL) + opened.read_channel(STDERR_CHANNEL))
        if (code := _code(opened)) != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {code} in {name}: {printed}")
    finally:
        opened.sock.shutdown()  # once the other side has ended it, `close` leaves the socket open
        api.close()
    return printed


def _code(opened: WSClient) -> object:
    try:
        return opened.returncode
    except (TypeError, ValueError) as error:
        # Where nothing ran, or its end was not told, the client finds no number.
        raise RuntimeError(f"no command ran to its end: {error}") from error


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods/{name}"
