"""The Postgres of an installation: our own image's, in a StatefulSet, with the schema of this release."""

from __future__ import annotations

from tests.cluster.api import Api, Json
from tests.harness.eventually import eventually

__all__ = ["LOCKED", "NAME", "POD_SECRET", "RESTRICTED", "SECRET", "install_postgres", "pod_secret", "until_ready"]

NAME = "perdure-postgres"
SECRET = "perdure-database"
POD_SECRET = "perdure-pod-database"
RESTRICTED: Json = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
LOCKED: Json = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def install_postgres(api: Api, namespace: str, image: str, password: str, pod_password: str) -> None:
    """Create it, and the Secret that holds the owner's URL; it is there once `until_ready` says so."""
    data = {"url": _url(namespace, "perdure", password), "password": password, "pod-password": pod_password}
    api.create(f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": SECRET}, "stringData": data})
    ports = [{"name": "postgres", "port": 5432}]
    service = {"metadata": {"name": NAME}, "spec": {"selector": {"app": NAME}, "ports": ports}}
    api.create(f"/api/v1/namespaces/{namespace}/services", service)
    api.create(f"/apis/apps/v1/namespaces/{namespace}/statefulsets", _stateful_set(image))


def pod_secret(installed: str, pod_password: str) -> Json:
    """The Secret by which pods of Workflows reach the Postgres in the namespace `installed`."""
    url = _url(installed, "perdure_shared", pod_password)
    return {"metadata": {"name": POD_SECRET}, "stringData": {"url": url}}


def until_ready(api: Api, namespace: str) -> None:
    """Wait until it takes connections."""

    def ready() -> bool:
        status = api.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{NAME}/status")["status"]
        return bool(status.get("readyReplicas") == 1)

    eventually(ready, deadline=90, every=0.2)


def _url(namespace: str, user: str, password: str) -> str:
    return f"postgresql://{user}:{password}@{NAME}.{namespace}.svc:5432/perdure"


def _stateful_set(image: str) -> Json:
    container = {
        "name": "postgres",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["perdure", "postgres"],
        "env": [
            {"name": "PERDURE_POSTGRES_DATA", "value": "/data/postgres"},
            {"name": "PERDURE_POSTGRES_PASSWORD", **_from_secret("password")},
            {"name": "PERDURE_POSTGRES_POD_PASSWORD", **_from_secret("pod-password")},
        ],
        "ports": [{"containerPort": 5432}],
        "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
        "securityContext": LOCKED,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    template = {
        "metadata": {"labels": {"app": NAME}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": RESTRICTED,
            "terminationGracePeriodSeconds": 30,
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    return {
        "metadata": {"name": NAME},
        "spec": {
            "serviceName": NAME,
            "selector": {"matchLabels": {"app": NAME}},
            "template": template,
            "volumeClaimTemplates": [claim],
        },
    }


def _from_secret(key: str) -> Json:
    return {"valueFrom": {"secretKeyRef": {"name": SECRET, "key": key}}}
