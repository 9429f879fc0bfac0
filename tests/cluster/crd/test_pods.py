"""Our pods, with every podTemplate laid over them, at a strict API server under Pod Security `restricted`: dry runs."""

from __future__ import annotations

from uuid import uuid4

import pytest

from perdure.names import Claim
from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.pod import PodSettings, SecretKey, build_pod
from perdure_operator.decide.actions import CreatePod
from tests.cluster.api import ApiException, Json
from tests.cluster.cluster import Cluster
from tests.harness.eventually import eventually
from tests.unit.operator.api.manifests import TAKEN

from .manifests import LEAST, STRICT, refusal


@pytest.mark.parametrize("image", [None, "registry.example/bank:1"])
@pytest.mark.parametrize("template", TAKEN.values(), ids=TAKEN)
def test_pods_pass_strict_validation_and_pod_security(
    cluster: Cluster, here: str, template: Json, image: str | None
) -> None:
    namespace = here.split("/")[5]
    workflow = parse_workflow(
        {
            "metadata": {"name": "a." * 60 + "b", "namespace": namespace, "uid": str(uuid4())},
            "spec": {**LEAST, "podTemplate": template, **({"image": image} if image else {})},
        }
    )
    assert workflow.problem is None
    settings = PodSettings(database=SecretKey("store"), runtime_image="perdure:1", image_pull_secrets=("pull",))
    pod = build_pod(workflow, CreatePod(1, Claim(uuid4())), settings)
    account = pod["spec"].get("serviceAccountName", "default")
    if account != "default":
        ensure_account(cluster, namespace, account)
    stored = eventually(lambda: admitted(cluster, namespace, pod))
    assert stored is not None
    assert stored["metadata"]["name"] == pod["metadata"]["name"]
    assert stored["spec"]["restartPolicy"] == "Never"


def test_pod_security_is_really_asked(cluster: Cluster, here: str) -> None:
    namespace = here.split("/")[5]
    workflow = parse_workflow(
        {
            "metadata": {"name": "w", "namespace": namespace, "uid": str(uuid4())},
            "spec": {**LEAST, "podTemplate": {"spec": {"containers": [{"name": "root", "image": "x"}]}}},
        }
    )
    settings = PodSettings(database="postgresql://store", runtime_image="perdure:1")
    pod = build_pod(workflow, CreatePod(1, Claim(uuid4())), settings)
    with pytest.raises(ApiException) as error:
        eventually(lambda: admitted(cluster, namespace, pod))
    assert "violates PodSecurity" in refusal(error)


def ensure_account(cluster: Cluster, namespace: str, name: str) -> None:
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    cluster.api.apply(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}", body)


def admitted(cluster: Cluster, namespace: str, pod: Json) -> Json | None:
    """A pod as it would be stored. The namespace's own service account is there a moment after the namespace."""
    try:
        return cluster.api.create(f"/api/v1/namespaces/{namespace}/pods?{STRICT}", pod)
    except ApiException as error:
        if "error looking up service account" in (error.body or ""):
            return None
        raise
