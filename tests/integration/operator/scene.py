"""Workflows of a test, and their pods, whose part is played by processes of this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from tests.cluster.api import Api, ApiException, Json
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.processes import Child, Children

GREETING = """
from perdure import step, workflow

@step
def greet(name: str) -> str:
    return f"hello {name}"

@workflow
def main(name: str) -> str:
    return greet(name)
"""


class Scene:
    """One namespace as a person with kubectl sees it, and its nodes."""

    def __init__(self, api: Api, namespace: str, children: Children, database: Database) -> None:
        self.api = api
        self.namespace = namespace
        self._children = children
        self.database = database
        self.image_id = ""
        """What the kubelet says that pods run."""

    def _path(self, plural: str, name: str = "") -> str:
        root = "/apis/perdure.io/v1alpha1" if plural == "workflows" else "/api/v1"
        return f"{root}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def apply(
        self,
        name: str = "one",
        code: str = GREETING,
        input: Any = None,
        labels: Mapping[str, str] | None = None,
        **spec: Any,
    ) -> str:
        """Create a Workflow; its UID."""
        body = {
            "apiVersion": "perdure.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": name, "labels": labels or {}},
            "spec": {
                "entrypoint": "greeting:main",
                "source": {"inline": {"greeting.py": code}},
                "input": {"name": "you"} if input is None else input,
                **spec,
            },
        }
        return str(self.api.create(self._path("workflows"), body)["metadata"]["uid"])

    def change(self, name: str = "one", **spec: Any) -> None:
        """Change fields of a Workflow's spec."""
        self.api.patch(self._path("workflows", name), {"spec": spec})

    def label(self, name: str, labels: Mapping[str, str]) -> None:
        """Change labels of a Workflow."""
        self.api.patch(self._path("workflows", name), {"metadata": {"labels": labels}})

    def delete(self, name: str = "one") -> None:
        """Delete a Workflow."""
        self.api.delete(self._path("workflows", name))

    def get(self, name: str = "one") -> Json:
        """A Workflow as it is now."""
        return self.api.get(self._path("workflows", name))

    def status(self, name: str = "one") -> Json:
        """Its status."""
        return dict(self.get(name).get("status") or {})

    def phase(self, name: str = "one") -> str | None:
        """Its phase."""
        return self.status(name).get("phase")

    def until_phase(self, phase: str, name: str = "one", deadline: float = 20) -> Json:
        """Wait until a Workflow has come to a phase; its status."""

        def there() -> Json:
            status = self.status(name)
            assert status.get("phase") == phase, status
            return status

        return eventually(there, deadline=deadline, every=0.05)

    def condition(self, type: str, name: str = "one") -> Json | None:
        """A condition of a Workflow."""
        return next((one for one in self.status(name).get("conditions", []) if one["type"] == type), None)

    def pods(self) -> list[Json]:
        """All pods, oldest attempt first."""
        items = self.api.get(self._path("pods"))["items"]
        return sorted(items, key=lambda pod: int(pod["metadata"]["labels"]["perdure.io/attempt"]))

    def until_pod(self, attempt: int = 1, of: str = "one", deadline: float = 20) -> Json:
        """Wait until the pod of an attempt is there."""

        def there() -> Json | None:
            return next(
                (
                    pod
                    for pod in self.pods()
                    if pod["metadata"]["ownerReferences"][0]["name"] == of
                    and pod["metadata"]["labels"]["perdure.io/attempt"] == str(attempt)
                ),
                None,
            )

        pod = eventually(there, deadline=deadline, every=0.05)
        assert pod is not None
        return pod

    def bind(self, pod: Json, node: str) -> None:
        """Have a pod on a node, as the scheduler would."""
        body = {"metadata": {"name": pod["metadata"]["name"]}, "target": {"kind": "Node", "name": node}}
        self.api.create(self._path("pods", pod["metadata"]["name"]) + "/binding", body)

    def play(self, pod: Json) -> Child:
        """Run what a pod's container would run, and say in the pod's status that it does."""
        container = next(one for one in pod["spec"]["containers"] if one["name"] == "workflow")
        env = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        env |= {"PERDURE_POD_NAME": pod["metadata"]["name"], "PERDURE_NODE_NAME": "node-1"}
        assert container["command"] == ["perdure", "exec"]
        child = self._children.start([sys.executable, "-m", "perdure.cli", "exec"], env=env)
        self.tell(pod, {"phase": "Running", "containerStatuses": [self._container(running={})]})
        return child

    def play_to_the_end(self, pod: Json) -> int:
        """Run it, wait until it has ended, and say so; its exit code."""
        code = self.play(pod).wait(30)
        self.tell_end(pod, code)
        return code

    def tell_end(self, pod: Json, code: int) -> None:
        """Say in a pod's status that its container has ended, as its kubelet would."""
        phase, reason = ("Failed", "Error") if code else ("Succeeded", "Completed")
        ended = {"exitCode": code & 0xFF, "reason": reason}
        self.tell(pod, {"phase": phase, "containerStatuses": [self._container(terminated=ended)]})

    def tell(self, pod: Json, status: Json) -> None:
        """Change a pod's status, if it is still there."""
        try:
            self.api.patch(self._path("pods", pod["metadata"]["name"]) + "/status", {"status": status})
        except ApiException as error:
            if error.status != 404:
                raise

    def delete_pod(self, pod: Json) -> None:
        """Delete a pod at once."""
        self.api.delete(self._path("pods", pod["metadata"]["name"]), {"gracePeriodSeconds": 0})

    def events(self, name: str = "one") -> list[str]:
        """What was told about a Workflow, oldest first."""
        items = self.api.get(self._path("events"), fieldSelector=f"involvedObject.name={name}")["items"]
        return [event["reason"] for event in sorted(items, key=lambda event: int(event["metadata"]["resourceVersion"]))]

    def attempts(self, uid: str) -> list[tuple[Any, ...]]:
        """The number and the ending of each attempt at a run."""
        return self.database.query("SELECT attempt, ending FROM perdure.attempts WHERE run_id = %s ORDER BY 1", uid)

    def result(self, name: str = "one") -> Any:
        """Its result."""
        return json.loads(json.dumps(self.status(name).get("result")))

    def _container(self, **state: Json) -> Json:
        said = {"name": "workflow", "image": "", "imageID": self.image_id, "ready": False, "restartCount": 0}
        return {**said, "state": state}
