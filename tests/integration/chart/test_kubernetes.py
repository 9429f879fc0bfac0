"""A real API server takes every manifest of every variant, knows every field, and its Pod Security restricts no pod."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.api import Api, ApiException
from tests.cluster.helm import Helm
from tests.integration.operator.api_server import ApiServer

from .variants import VARIANTS

each = pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS.keys())
NAMESPACES = ("here", "team-a", "team-b")
_ROOTS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "ConfigMap": "configmaps",
    "Deployment": "deployments",
    "NetworkPolicy": "networkpolicies",
    "PersistentVolumeClaim": "persistentvolumeclaims",
    "Pod": "pods",
    "PodDisruptionBudget": "poddisruptionbudgets",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "Service": "services",
    "ServiceAccount": "serviceaccounts",
    "StatefulSet": "statefulsets",
}
# Of the Prometheus operator: there are no such kinds here.
_ELSEWHERE = {"PrometheusRule", "ServiceMonitor"}


@pytest.fixture(scope="module")
def api(api_server: ApiServer) -> Api:
    """With the namespaces of the variants, which let only restricted pods in."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    for name in NAMESPACES:
        api_server.api.apply(f"/api/v1/namespaces/{name}", _named("Namespace", "v1", name, labels))
    for name in ("platform",):
        body = {**_named("PriorityClass", "scheduling.k8s.io/v1", name, {}), "value": 1000}
        api_server.api.apply(f"/apis/scheduling.k8s.io/v1/priorityclasses/{name}", body)
    return api_server.api


def _named(kind: str, version: str, name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}}


def dry_run(api: Api, body: dict[str, Any]) -> None:
    """Have the API server check an object without keeping it; a field that it does not know is an error."""
    version, namespace = body["apiVersion"], body["metadata"].get("namespace")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    inside = f"/namespaces/{namespace}" if namespace else ""
    path = f"{root}{inside}/{_ROOTS[body['kind']]}/{body['metadata']['name']}"
    checks = {"dryRun": "All", "fieldManager": "tests", "force": "true", "fieldValidation": "Strict"}
    api.patch(path, body, "application/apply-patch+yaml", **checks)


def pod_of(body: dict[str, Any]) -> dict[str, Any]:
    """A pod such as a controller would make of its template."""
    metadata, template = body["metadata"], body["spec"]["template"]
    spec = template["spec"]
    about = {"name": f"{metadata['name']}-0", "namespace": metadata["namespace"], **template["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}


@each
def test_every_object_is_one_of_kubernetes(helm: Helm, api: Api, values):
    objects = helm.objects(values)
    for body in objects:
        if body["kind"] not in _ELSEWHERE:
            dry_run(api, body)


@each
def test_every_pod_is_restricted(helm: Helm, api: Api, values):
    made = [pod_of(body) for body in helm.objects(values) if body["kind"] in ("Deployment", "StatefulSet")]
    assert made
    for pod in made:
        dry_run(api, pod)


def test_what_is_wrong_would_be_refused(helm: Helm, api: Api):
    # So that the two tests above can fail.
    (deployment,) = [body for body in helm.objects({}) if body["kind"] == "Deployment"]
    with pytest.raises(ApiException, match="field not declared in schema"):
        dry_run(api, {**deployment, "spec": {**deployment["spec"], "replica": 1}})
    pod = pod_of(deployment)
    pod["spec"] = {**pod["spec"], "securityContext": {}}
    with pytest.raises(ApiException, match="violates PodSecurity"):
        dry_run(api, pod)
