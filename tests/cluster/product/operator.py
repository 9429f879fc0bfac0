"""The operator of an installation: the chart's rights, its Deployment, and the schema that it brings the store to."""

from __future__ import annotations

from tests.cluster.api import Api, Json
from tests.cluster.helm import Helm
from tests.cluster.rights import give_rights, take_rights
from tests.harness.eventually import eventually

from . import postgres
from .image import ProductImages

__all__ = ["NAME", "containers", "install_operator", "remove_operator", "scale", "until_available"]

NAME = "perdure-operator"
_VALUES = {"database": {"existingSecret": postgres.SECRET}, "rbac": {"aggregate": False}}


def install_operator(
    helm: Helm, api: Api, namespace: str, images: ProductImages, replicas: int = 1, **settings: str
) -> None:
    """Create it, with the rights of the chart; `settings` are its variables, without PERDURE_OPERATOR_."""
    give_rights(helm, api, namespace, _VALUES)
    api.create(f"/apis/apps/v1/namespaces/{namespace}/deployments", _deployment(images, replicas, settings))


def remove_operator(helm: Helm, api: Api, namespace: str) -> None:
    """Delete what does not go with its namespace."""
    take_rights(helm, api, namespace, _VALUES)


def scale(api: Api, namespace: str, replicas: int) -> None:
    """Have so many of it, and wait until there are."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{NAME}"
    api.patch(path, {"spec": {"replicas": replicas}})
    until_available(api, namespace, replicas)


def until_available(api: Api, namespace: str, replicas: int) -> None:
    """Wait until so many of it are ready, and no more are left."""

    def available() -> bool:
        query = {"labelSelector": f"app={NAME}"}
        pods = api.get(f"/api/v1/namespaces/{namespace}/pods", **query)["items"]
        ready = [pod for pod in pods if any(c["ready"] for c in pod["status"].get("containerStatuses", []))]
        assert len(ready) == len(pods) == replicas, [pod["status"] for pod in pods]
        return True

    eventually(available, deadline=90, every=0.2)


def containers(api: Api, namespace: str) -> dict[str, tuple[str, int]]:
    """Its containers by pod: which they are, and how often they were restarted."""
    pods = api.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"app={NAME}")["items"]
    return {
        pod["metadata"]["uid"]: (status["containerID"], status["restartCount"])
        for pod in pods
        for status in pod["status"]["containerStatuses"]
    }


def _deployment(images: ProductImages, replicas: int, settings: dict[str, str]) -> Json:
    url = {"name": "PERDURE_DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": postgres.SECRET, "key": "url"}}}
    own: Json = {"fieldRef": {"fieldPath": "metadata.name"}}
    told = {
        "RUNTIME_IMAGE": images.runtime.name,
        "IMAGE_PULL_POLICY": "IfNotPresent",
        "POD_DATABASE_SECRET": postgres.POD_SECRET,
        **settings,
    }
    variables = [{"name": f"PERDURE_OPERATOR_{name}", "value": value} for name, value in told.items()]
    common: Json = {
        "image": images.operator.name,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": postgres.LOCKED,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    migrate = {
        **common,
        "name": "migrate",
        "command": ["perdure", "migrate", "--pod-role", "perdure_pods"],
        "env": [url],
    }
    operator = {
        **common,
        "name": "operator",
        "command": ["perdure-operator"],
        "env": [url, {"name": "POD_NAME", "valueFrom": own}, *variables],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 2},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "http"}, "periodSeconds": 10},
    }
    template = {
        "metadata": {"labels": {"app": NAME}},
        "spec": {
            "serviceAccountName": NAME,
            "automountServiceAccountToken": True,
            "enableServiceLinks": False,
            "securityContext": postgres.RESTRICTED,
            "terminationGracePeriodSeconds": 10,
            "initContainers": [migrate],
            "containers": [operator],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
    return {
        "metadata": {"name": NAME},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": NAME}}, "template": template},
    }
