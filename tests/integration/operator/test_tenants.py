"""What a tenant may try who creates Workflows in one namespace, and pods in another: each from the attacker's side."""

from __future__ import annotations

from typing import Any

import pytest

from perdure_operator.errors import Refused
from perdure_operator.kube import CONFIG_MAPS
from tests.cluster.api import ApiException
from tests.cluster.crds import install_crd, until_served, workflow_crd
from tests.harness.eventually import eventually

from .operators import Operator
from .scene import GREETING, Scene

TRAVERSAL = "../../team-b/configmaps/app-config"
CODE = {"data": {"greeting.py": GREETING}}


def config_map(scene: Scene, name: str, **parts: Any) -> None:
    scene.api.create(
        f"/api/v1/namespaces/{scene.namespace}/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **parts},
    )


def stalled(scene: Scene, name: str = "one") -> str:
    """Why a Workflow is Stalled."""
    scene.until_phase("Stalled", name)
    condition = scene.condition("Stalled", name)
    assert condition is not None
    return f"{condition['reason']}: {condition['message']}"


def test_a_config_map_of_another_namespace_cannot_be_named(scene: Scene) -> None:
    for name in (TRAVERSAL, "..", "a/b", "A"):
        with pytest.raises(ApiException) as refused:
            scene.apply(source={"configMap": {"name": name}})
        assert refused.value.status == 422
        assert "a ConfigMap's name consists of" in str(refused.value.body)
    with pytest.raises(Refused):
        CONFIG_MAPS.path(scene.namespace, TRAVERSAL)


@pytest.mark.slow
def test_one_that_was_stored_before_the_rule_gets_no_code_of_another_namespace(
    own_api_server: Any, database: Any, children: Any
) -> None:
    api = own_api_server.api
    for name in ("team-a", "team-b"):
        api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    theirs = Scene(api, "team-b", children, database)
    config_map(theirs, "app-config", **CODE)
    scene = Scene(api, "team-a", children, database)
    definition = workflow_crd()
    [version] = definition["spec"]["versions"]
    properties = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    rule = properties["source"]["properties"]["configMap"]["properties"]["name"].pop("x-kubernetes-validations")
    install_crd(api, definition)

    def store() -> bool:
        try:
            scene.apply(source={"configMap": {"name": TRAVERSAL}})
        except ApiException as error:
            if error.status == 422:  # the older rules are not in force yet
                return False
            raise
        return True

    eventually(store, deadline=30)
    properties["source"]["properties"]["configMap"]["properties"]["name"]["x-kubernetes-validations"] = rule
    install_crd(api, definition)
    until_served(api, definition)
    operator = Operator(children, own_api_server.kubeconfig, database.url, "team-a", {})
    assert stalled(scene).startswith("InvalidSpec")
    assert database.query("SELECT count(*) FROM perdure.runs") == [(0,)]
    operator.check()


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({}, "it has no file under data"),
        ({"binaryData": {"greeting.py": "AAAA"}}, "binaryData is not read"),
    ],
)
def test_a_config_map_without_code_says_so(start_operator: Any, scene: Scene, parts: Any, why: str) -> None:
    config_map(scene, "code", **parts)
    start_operator()
    scene.apply(source={"configMap": {"name": "code"}})
    said = stalled(scene)
    assert said.startswith("SourceMissing")
    assert why in said


def test_a_pod_template_has_a_bound(start_operator: Any, scene: Scene) -> None:
    with pytest.raises(ApiException) as refused:
        scene.apply(podTemplate={"metadata": {"annotations": {"note": "x" * 70_000}}})
    assert refused.value.status == 422
    start_operator()
    # What the schema does not know it cannot measure either.
    scene.apply(podTemplate={"spec": {"nodeSelector": {"disk": "x" * 70_000}}})
    said = stalled(scene)
    assert said.startswith("InvalidSpec")
    assert "spec.podTemplate: it has 70" in said
    assert "65536 are the most" in said
    scene.change(podTemplate={"spec": {"nodeSelector": {"disk": "fast"}}})
    assert scene.play_to_the_end(scene.until_pod()) == 0
    scene.until_phase("Succeeded")


def forged(scene: Scene, uid: str, attempt: int, name: str, **metadata: Any) -> dict[str, Any]:
    """A pod as the operator would make it, but for what `metadata` says."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/managed-by": "perdure",
                "perdure.io/workflow-uid": uid,
                "perdure.io/attempt": str(attempt),
            },
            "ownerReferences": [
                {
                    "apiVersion": "perdure.io/v1alpha1",
                    "kind": "Workflow",
                    "name": "one",
                    "uid": uid,
                    "controller": True,
                }
            ],
            **metadata,
        },
        "spec": {"containers": [{"name": "workflow", "image": "x"}]},
    }


@pytest.mark.slow
def test_pods_of_another_namespace_move_nothing_whatever_they_bear(
    api_server: Any, start_operator: Any, scene: Scene, namespace: str, database: Any, children: Any
) -> None:
    hostile = f"{namespace}-hostile"
    api_server.api.create("/api/v1/namespaces", {"metadata": {"name": hostile}})
    start_operator(namespaces=f"{namespace},{hostile}", resync_seconds="1")
    attacker = Scene(api_server.api, hostile, children, database)
    uid = scene.apply()
    pod = scene.until_pod()
    env = pod["spec"]["containers"][0]["env"]
    pods = f"/api/v1/namespaces/{hostile}/pods"
    api_server.api.create(pods, forged(attacker, uid, 999, "later"))
    copy = forged(attacker, uid, 1, pod["metadata"]["name"])
    copy["spec"]["containers"][0]["env"] = [one for one in env if "value" in one]
    ended = api_server.api.create(pods, copy)
    attacker.tell_end(ended, 1)
    # The operator has heard of both by the time it has started what came after them.
    scene.apply("two")
    scene.until_pod(of="two")
    assert scene.play_to_the_end(pod) == 0
    assert scene.until_phase("Succeeded")["attempts"] == 1
    assert scene.attempts(uid) == [(1, "completed")]


@pytest.mark.slow
def test_a_pod_of_somebody_elses_that_has_the_attempts_name_is_told_of_and_waited_out(
    api_server: Any, start_operator: Any, scene: Scene, namespace: str
) -> None:
    uid = scene.apply(suspend=True)
    name = f"one-{uid.replace('-', '')[:8]}-1"
    body = forged(scene, uid, 1, name, ownerReferences=[], labels={"perdure.io/attempt": "1"})
    foreign = api_server.api.create(f"/api/v1/namespaces/{namespace}/pods", body)
    operator = start_operator()
    scene.until_phase("Suspended")
    scene.change(suspend=False)
    said = stalled(scene)
    assert said.startswith("PodRefused")
    assert f"pod {name} already exists and is not this Workflow's: delete it" in said
    tries = [line for line in operator.log if "the pod was refused" in line["message"]]
    assert len(tries) == 1
    scene.delete_pod(foreign)
    scene.change(backoffLimit=3)  # tried again at once after a change, else within half a minute
    assert scene.play_to_the_end(scene.until_pod()) == 0
    scene.until_phase("Succeeded")
