"""Workflows that no schema would allow, stored before it was what it is, harm nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.api import Api, ApiException
from tests.cluster.crd.test_stored_before import ODD
from tests.cluster.crds import install_crd, until_served, workflow_crd
from tests.harness.eventually import eventually

from .operators import Operator
from .scene import Scene

NAMESPACE = "shop"
WORKFLOWS = f"/apis/perdure.io/v1alpha1/namespaces/{NAMESPACE}/workflows"
TOLD = ["nothing", "no-entrypoint", "two-sources", "a-long-input"]
"""Of the others' spec today's schema says that it has wrong types, so no status can be written."""


@pytest.fixture
def scene(own_api_server: Any, database: Any, children: Any) -> Scene:
    """A namespace with odd Workflows."""
    api = own_api_server.api
    api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    definition = workflow_crd()
    version = definition["spec"]["versions"][0]
    schema, selectable = version["schema"], version.pop("selectableFields")
    version["schema"] = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version["subresources"] = {}
    install_crd(api, definition)
    eventually(lambda: takes(api, {}))
    for title, body in ODD.items():
        head = {"apiVersion": "perdure.io/v1alpha1", "kind": "Workflow", "metadata": {"name": title}}
        api.create(WORKFLOWS, {**head, **(body or {})})
    version |= {"schema": schema, "subresources": {"status": {}}, "selectableFields": selectable}
    install_crd(api, definition)
    eventually(lambda: not takes(api, {}))
    until_served(api, definition)
    return Scene(api, NAMESPACE, children, database)


def takes(api: Api, body: dict[str, Any]) -> bool:
    """Whether the server would create this."""
    head = {"apiVersion": "perdure.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "trial"}}
    try:
        api.create(f"{WORKFLOWS}?dryRun=All", {**head, **body})
    except ApiException as error:
        if error.status in (404, 422, 429):
            return False
        raise
    return True


@pytest.mark.slow
def test_they_harm_nobody_else(scene: Scene, own_api_server: Any, database: Any, children: Any) -> None:
    operator = Operator(children, own_api_server.kubeconfig, database.url, NAMESPACE, {})
    operator.until_leading()
    uid = scene.apply("good")
    assert scene.play_to_the_end(scene.until_pod(of="good")) == 0
    scene.until_phase("Succeeded", "good")
    assert scene.attempts(uid) == [(1, "completed")]
    for name in TOLD:
        status = scene.until_phase("Stalled", name)
        assert {one["reason"] for one in status["conditions"]} == {"InvalidSpec"}, name
    assert {pod["metadata"]["ownerReferences"][0]["name"] for pod in scene.pods()} == {"good"}
    assert database.query("SELECT name FROM perdure.runs") == [("good",)]

    for name in ODD:
        scene.delete(name)
    again = scene.apply("another")
    assert scene.play_to_the_end(scene.until_pod(of="another")) == 0
    scene.until_phase("Succeeded", "another")
    assert scene.attempts(again) == [(1, "completed")]
    assert operator.get("/readyz") == (200, "ok\n")
    operator.check()
    print(operator.child.errors[-10_000:])


@pytest.mark.slow
def test_an_operator_that_finds_them_on_its_start_is_as_well(
    scene: Scene, own_api_server: Any, database: Any, children: Any
) -> None:
    scene.apply("good")
    operator = Operator(children, own_api_server.kubeconfig, database.url, NAMESPACE, {})
    assert scene.play_to_the_end(scene.until_pod(of="good", deadline=40)) == 0
    scene.until_phase("Succeeded", "good")
    calls = operator.metric("api_requests_total")
    tried = [line for line in operator.log if "will be tried again" in line["message"]]
    assert len(tried) < 10  # each kind of complaint is told now and then
    assert calls < 300
    operator.check()
