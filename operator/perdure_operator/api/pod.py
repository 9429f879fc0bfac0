"""Builds the pod of an attempt: the operator's own manifest, with the podTemplate laid over it.

By default the pod passes Pod Security `restricted`, and has no token for the API server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from perdure.names import hash_seed

from ..decide.actions import CreatePod
from ..decide.observed import Spec, Workflow
from .database_tls import DatabaseTls
from .names import API_VERSION, CONTAINER, GENERATION_ANNOTATION, KIND, RUNTIME_USER, pod_labels, pod_name
from .pod_template import lay_over

__all__ = ["PodSettings", "SecretKey", "build_pod"]

_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"
_SCRATCH: Final = "perdure-tmp"
_SCRATCH_PATH: Final = "/tmp"  # noqa: S108  # a volume of this pod alone

_DEFAULT_RESOURCES: Final = {
    "requests": {"cpu": "100m", "memory": "128Mi"},
    "limits": {"memory": "1Gi"},
}


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key of a Secret in the Workflow's namespace."""

    name: str
    key: str = "url"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodSettings:
    """The operator's settings for all pods.

    Attributes:
        database: the store's URL, or the key of a Secret that has it. A URL itself can be read in each pod.
        tls: the settings for TLS to the store.
        runtime_image: the image for Workflows without their own.
        runtime_user: the user and the group of that image's processes; None leaves them to the platform. Other images
            have users of their own.
        lease_seconds: seconds without a heartbeat after which an attempt counts as dead.
        grace_seconds: from SIGTERM to SIGKILL, unless a podTemplate sets it.
        image_pull_policy: None leaves it to Kubernetes.
        image_pull_secrets: names of Secrets in the Workflow's namespace.
        service_account: of pods, unless a podTemplate sets it.
        template: a valid podTemplate, over which each Workflow's own is laid.
        resources: of the container, unless a podTemplate sets them.
        labels: added to those by which a pod is found.
    """

    database: SecretKey | str = field(repr=False)
    tls: DatabaseTls = field(default_factory=DatabaseTls)
    runtime_image: str
    runtime_user: int | None = RUNTIME_USER
    lease_seconds: float = 6.0
    grace_seconds: int = 30
    image_pull_policy: str | None = None
    image_pull_secrets: tuple[str, ...] = ()
    service_account: str | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=lambda: _DEFAULT_RESOURCES)
    labels: Mapping[str, str] = field(default_factory=dict)


def build_pod(workflow: Workflow, claim: CreatePod, settings: PodSettings) -> dict[str, Any]:
    """The manifest of the pod for a claimed attempt.

    Args:
        workflow: with a valid spec and podTemplate.
        claim: the attempt, its claim, and the nodes to avoid.
        settings: for all pods.
    """
    spec = workflow.spec
    assert spec is not None, "a Workflow whose spec could not be read has no attempts"
    ours = {"metadata": {}, "spec": _pod_spec(spec, settings, hash_seed(workflow.uid))}
    laid = lay_over(lay_over(ours, settings.template), spec.pod_template)
    metadata, laid_spec = laid["metadata"], _avoiding(laid["spec"], claim.avoid)
    container = next(one for one in laid_spec["containers"] if one["name"] == CONTAINER)
    grace = laid_spec.setdefault("terminationGracePeriodSeconds", settings.grace_seconds)
    container["env"] = [*_environment(workflow, claim, settings, grace), *container.get("env", [])]
    _drop_unused_scratch(laid_spec)
    _add(container, "volumeMounts", settings.tls.mounts())
    _add(laid_spec, "volumes", settings.tls.volumes())
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(workflow.key.name, workflow.uid, claim.attempt),
            "namespace": workflow.key.namespace,
            "labels": {**metadata.get("labels", {}), **pod_labels(workflow, claim.attempt), **settings.labels},
            "annotations": {
                "kubectl.kubernetes.io/default-container": CONTAINER,
                **metadata.get("annotations", {}),
                GENERATION_ANNOTATION: str(workflow.generation),
            },
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": workflow.key.name,
                    "uid": str(workflow.uid),
                    "controller": True,
                    # A Workflow may be deleted before its pods. Blocking that would require a right to its finalizers.
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": laid_spec,
    }


def _pod_spec(spec: Spec, settings: PodSettings, seed: int) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": spec.image or settings.runtime_image,
        "command": ["perdure", "exec"],
        # The same for all attempts of the run, so that sets of strings have the same order in each.
        "env": [{"name": "PYTHONHASHSEED", "value": str(seed)}],
        "resources": dict(settings.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # The end of the log shows why an attempt could not start.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": _SCRATCH, "mountPath": _SCRATCH_PATH}],
    }
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    user = settings.runtime_user
    if spec.image is None:
        security |= {} if user is None else {"runAsUser": user, "runAsGroup": user, "fsGroup": user}
        # The runtime's user has no home in the image to which it could write; a platform's user has no name, either.
        container["env"] += [{"name": "HOME", "value": _SCRATCH_PATH}, {"name": "USER", "value": "perdure"}]
    elif settings.tls.client_secret is not None and user is not None:
        # The image's user is unknown, so its processes get a group that may read the key.
        security["fsGroup"] = user
    if settings.image_pull_policy is not None:
        container["imagePullPolicy"] = settings.image_pull_policy
    made: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": settings.grace_seconds,
        "securityContext": security,
        "containers": [container],
        "volumes": [{"name": _SCRATCH, "emptyDir": {}}],
    }
    if settings.service_account is not None:
        made["serviceAccountName"] = settings.service_account
    if settings.image_pull_secrets:
        made["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    return made


def _avoiding(spec: dict[str, Any], nodes: Sequence[str]) -> dict[str, Any]:
    """A pod's spec that prefers other nodes than these."""
    affinity = spec.get("affinity", {})
    of_nodes = affinity.get("nodeAffinity", {}) if isinstance(affinity, Mapping) else None
    if not nodes or not isinstance(of_nodes, Mapping) or not isinstance(of_nodes.get(_PREFERRED, []), list):
        return spec
    others = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]
    preferred = [*of_nodes.get(_PREFERRED, []), {"weight": 100, "preference": {"matchFields": others}}]
    return {**spec, "affinity": {**affinity, "nodeAffinity": {**of_nodes, _PREFERRED: preferred}}}


def _environment(workflow: Workflow, claim: CreatePod, settings: PodSettings, grace: int) -> list[dict[str, Any]]:
    """The variables for `perdure exec`. They come first, so that variables of the template can refer to them."""
    database: dict[str, Any]
    if isinstance(settings.database, SecretKey):
        reference = {"name": settings.database.name, "key": settings.database.key}
        database = {"valueFrom": {"secretKeyRef": reference}}
    else:
        database = {"value": settings.database.replace("$(", "$$(")}  # which Kubernetes would take for a variable
    return [
        {"name": "PERDURE_DATABASE_URL", **database},
        *settings.tls.variables(),
        {"name": "PERDURE_RUN_ID", "value": str(workflow.uid)},
        {"name": "PERDURE_CLAIM", "value": str(claim.claim)},
        {"name": "PERDURE_GRACE_SECONDS", "value": str(grace)},
        {"name": "PERDURE_LEASE_SECONDS", "value": f"{settings.lease_seconds:g}"},
        # Only for local runs. Empty, so that a template's `envFrom` cannot set them.
        *({"name": name, "value": ""} for name in ("PERDURE_PATIENCE_SECONDS", "PERDURE_PARENT", "PERDURE_EVENTS_FD")),
        _field("PERDURE_POD_NAME", "metadata.name"),
        _field("PERDURE_NODE_NAME", "spec.nodeName"),
    ]


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _add(to: dict[str, Any], field: str, ours: Sequence[Mapping[str, Any]]) -> None:
    """Add items that a template cannot replace. The API server rejects a second item of the same name."""
    given = to.get(field, [])
    if ours and isinstance(given, list):
        to[field] = [*given, *ours]


def _drop_unused_scratch(spec: dict[str, Any]) -> None:
    """Remove our empty folder if a template mounts another volume in its place."""
    mounts = [one.get("volumeMounts") for one in [*spec["containers"], *spec.get("initContainers", [])]]
    if all(isinstance(some, list) and not any(_is_scratch(mount) for mount in some) for some in mounts if some):
        spec["volumes"] = [volume for volume in spec.get("volumes", []) if not _is_scratch(volume)]


def _is_scratch(item: object) -> bool:
    return isinstance(item, Mapping) and item.get("name") == _SCRATCH
