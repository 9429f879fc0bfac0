"""Workflows for tests: made, watched, waited for."""

from __future__ import annotations

from typing import Any

from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.harness.eventually import eventually

__all__ = [
    "condition",
    "create",
    "get",
    "path",
    "pods",
    "until",
    "until_finished",
    "until_pod",
    "until_reason",
    "with_url",
    "workflow",
]


def path(namespace: str, name: str = "") -> str:
    """Of the collection, or of one."""
    return f"/apis/perdure.io/v1alpha1/namespaces/{namespace}/workflows" + (f"/{name}" if name else "")


def workflow(name: str, code: str, entrypoint: str = "flow:flow", **spec: Any) -> Json:
    """A Workflow whose code is the one file flow.py; `spec` is laid over its spec."""
    return {
        "apiVersion": "perdure.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"entrypoint": entrypoint, "source": {"inline": {"flow.py": code}}, **spec},
    }


def with_url(body: Json, variable: str, secret: str) -> Json:
    """A Workflow whose steps find the store's URL in a variable: its own pod's is not for them."""
    template = body["spec"].setdefault("podTemplate", {})
    containers = template.setdefault("spec", {}).setdefault("containers", [])
    container = next((one for one in containers if one["name"] == "workflow"), None)
    if container is None:
        containers.append(container := {"name": "workflow"})
    given = {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": "url"}}}
    container["env"] = [*container.get("env", []), given]
    return body


def create(cluster: Cluster, namespace: str, body: Json) -> Json:
    """Create a Workflow; what the API server made of it."""
    return cluster.api.create(path(namespace), body)


def get(cluster: Cluster, namespace: str, name: str) -> Json:
    """A Workflow as it is now."""
    return cluster.api.get(path(namespace, name))


def condition(body: Json, kind: str) -> Json:
    """A condition of a Workflow; empty if it has none of that type."""
    found = [one for one in body.get("status", {}).get("conditions", []) if one["type"] == kind]
    return found[0] if found else {}


def until(cluster: Cluster, namespace: str, name: str, check: Any, deadline: float = 30, every: float = 0.1) -> Json:
    """Wait until `check` holds of a Workflow, and return it."""

    def holds() -> Json:
        body = get(cluster, namespace, name)
        assert check(body), body.get("status")
        return body

    return eventually(holds, deadline, every)


def until_reason(cluster: Cluster, namespace: str, name: str, reason: str, deadline: float, every: float = 0.1) -> Json:
    """Wait until a Workflow's status gives this reason for where it stands, and return the Workflow."""

    def says(body: Json) -> bool:
        return bool(condition(body, "Finished").get("reason") == reason)

    return until(cluster, namespace, name, says, deadline, every)


def until_finished(cluster: Cluster, namespace: str, name: str, deadline: float = 60) -> Json:
    """Wait until a Workflow has finished, however, and return it."""
    return until(cluster, namespace, name, lambda body: condition(body, "Finished").get("status") == "True", deadline)


def pods(cluster: Cluster, namespace: str, name: str) -> list[Json]:
    """The pods of a Workflow, oldest attempt first."""
    found = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"perdure.io/workflow={name}")
    return sorted(found["items"], key=lambda pod: int(pod["metadata"]["labels"]["perdure.io/attempt"]))


def until_pod(cluster: Cluster, namespace: str, name: str, attempt: int, deadline: float, every: float = 0.2) -> Json:
    """Wait until the pod of an attempt is there, and return it."""

    def there() -> Json:
        found = pods(cluster, namespace, name)
        its = [pod for pod in found if pod["metadata"]["labels"]["perdure.io/attempt"] == str(attempt)]
        assert its, get(cluster, namespace, name).get("status")
        return its[0]

    return eventually(there, deadline, every)
