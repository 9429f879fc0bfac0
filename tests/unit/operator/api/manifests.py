"""Workflows and pods as the API server has them, and the podTemplates that are refused or taken."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from perdure_operator.api import validation as refusals

UID = UUID("5f0c2f6e-8a57-4f0e-9d5a-0a6f3b1c2d3e")
NAME = "transfer-17"


def workflow(spec: Any = None, **parts: Any) -> dict[str, Any]:
    """A Workflow; `spec` is laid over a least one, `parts` over the object."""
    metadata = {
        "name": NAME,
        "namespace": "shop",
        "uid": str(UID),
        "generation": 3,
        "resourceVersion": "42",
        "creationTimestamp": "2026-03-01T12:00:00Z",
        **parts.pop("metadata", {}),
    }
    return {
        "apiVersion": "perdure.io/v1alpha1",
        "kind": "Workflow",
        "metadata": metadata,
        "spec": {"entrypoint": "bank:transfer", **(spec or {})},
        **parts,
    }


def with_container(**fields: Any) -> dict[str, Any]:
    """A podTemplate for the container that runs the workflow."""
    return {"spec": {"containers": [{"name": "workflow", **fields}]}}


_META, _SPEC = "podTemplate.metadata", "podTemplate.spec"
_FIRST = f"{_SPEC}.containers[0]"

REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("no spec", {"containers": []}, "podTemplate", refusals.TEMPLATE_FIELDS),
    ("a name", {"metadata": {"name": "x"}}, _META, refusals.METADATA),
    ("an owner", {"metadata": {"ownerReferences": [{"kind": "Job"}]}}, _META, refusals.METADATA),
    ("a finalizer", {"metadata": {"finalizers": ["a.example/b"]}}, _META, refusals.METADATA),
    ("our label", {"metadata": {"labels": {"perdure.io/attempt": "7"}}}, f"{_META}.labels", refusals.LABELS),
    (
        "another manager",
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "helm"}}},
        f"{_META}.labels",
        refusals.LABELS,
    ),
    (
        "our annotation",
        {"metadata": {"annotations": {"perdure.io/generation": "7"}}},
        f"{_META}.annotations",
        refusals.ANNOTATIONS,
    ),
    ("restarts", {"spec": {"restartPolicy": "Always"}}, f"{_SPEC}.restartPolicy", refusals.RESTART_POLICY),
    (
        "shared processes",
        {"spec": {"shareProcessNamespace": True}},
        f"{_SPEC}.shareProcessNamespace",
        refusals.SHARE_PROCESSES,
    ),
    ("the host's processes", {"spec": {"hostPID": True}}, f"{_SPEC}.hostPID", refusals.HOST_PID),
    ("a deadline", {"spec": {"activeDeadlineSeconds": 60}}, f"{_SPEC}.activeDeadlineSeconds", refusals.POD_DEADLINE),
    ("a command", with_container(command=["sh"]), _FIRST, refusals.COMMAND),
    ("arguments", with_container(args=["-c"]), _FIRST, refusals.COMMAND),
    ("an image", with_container(image="other"), f"{_FIRST}.image", refusals.IMAGE),
    ("a container's restarts", with_container(restartPolicy="Always"), _FIRST, refusals.CONTAINER_RESTART),
    (
        "rules of restarts",
        with_container(restartPolicyRules=[{"action": "Restart"}]),
        _FIRST,
        refusals.CONTAINER_RESTART,
    ),
    ("our variable", with_container(env=[{"name": "PERDURE_CLAIM", "value": "x"}]), f"{_FIRST}.env", refusals.ENV),
    (
        "our variables",
        with_container(envFrom=[{"prefix": "PERDURE_", "secretRef": {"name": "x"}}]),
        f"{_FIRST}.envFrom",
        refusals.ENV_PREFIX,
    ),
    (
        "an init container of our name",
        {"spec": {"initContainers": [{"name": "workflow", "image": "x"}]}},
        f"{_SPEC}.initContainers",
        refusals.INIT_NAME,
    ),
]
"""Id, podTemplate, the field that is wrong, and the words that say so."""

_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}

TAKEN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "labels and annotations": {
        "metadata": {"creationTimestamp": None, "labels": {"team": "a"}, "annotations": {"a.example/b": "c"}}
    },
    "variables and secrets": with_container(
        env=[
            {"name": "LEVEL", "value": "debug"},
            {"name": "HOME", "value": "/data"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
        ],
        envFrom=[{"prefix": "API_", "configMapRef": {"name": "api"}}],
    ),
    "volumes": {
        "spec": {
            "containers": [
                {
                    "name": "workflow",
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "big", "mountPath": "/tmp/"}],
                }
            ],
            "volumes": [{"name": "data", "configMap": {"name": "data"}}, {"name": "big", "emptyDir": {}}],
        }
    },
    "our scratch volume, larger": {
        "spec": {"volumes": [{"name": "perdure-tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]}
    },
    "more memory": with_container(resources={"requests": {"memory": "4Gi"}}),
    "less memory": with_container(resources={"limits": {"memory": "64Mi", "cpu": "1"}}),
    "no limits": with_container(resources={"limits": None}),
    "a service account, its token, and where to run": {
        "spec": {
            "serviceAccountName": "training",
            "automountServiceAccountToken": True,
            "nodeSelector": {"disk": "fast"},
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "priorityClassName": "system-node-critical",
            "imagePullSecrets": [{"name": "registry"}, {"name": "another"}],
            "terminationGracePeriodSeconds": 300,
            "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["bank"]}],
            "dnsConfig": {"options": [{"name": "ndots", "value": "1"}]},
        }
    },
    "a user": {
        "spec": {
            "securityContext": {"runAsUser": 1000, "fsGroup": 1000, "supplementalGroups": [4]},
            "containers": [{"name": "workflow", "securityContext": {"readOnlyRootFilesystem": False}}],
        }
    },
    "beside it and before it": {
        "spec": {
            "containers": [
                {"name": "metrics", "image": "metrics:1", "command": ["serve"], "securityContext": _RESTRICTED}
            ],
            "initContainers": [
                {"name": "fetch", "image": "fetch:1", "securityContext": _RESTRICTED},
                {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always", "securityContext": _RESTRICTED},
            ],
        }
    },
}
"""podTemplates that Pod Security `restricted` takes, too."""
