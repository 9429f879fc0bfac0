"""The pod of an attempt: ours, with the podTemplate laid over it.

By default it passes Pod Security `restricted`, holds no token of the API's and what its run needs, and no more.
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
_SCRATCH_PATH: Final = "/tmp"  # noqa: S108  # the pod's own, in memory of nobody else

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
    """What the operator's settings say about every pod.

    Attributes:
        database: the store's URL: where a Secret has it, or the URL itself, which is then there to read in every pod.
        tls: what it takes to reach the store by TLS.
        runtime_image: what runs Workflows that name no image.
        runtime_user: the user, and the group, of that image's processes; None: the platform's own. Other images have
            users of their own.
        lease_seconds: an attempt whose heartbeat rests for this long is taken for dead.
        grace_seconds: from SIGTERM to SIGKILL, where a podTemplate says nothing else.
        image_pull_policy: None for Kubernetes' own.
        image_pull_secrets: names of Secrets in the Workflow's namespace.
        service_account: of pods, where a podTemplate says nothing else.
        template: a podTemplate without refusals, over which each Workflow's own is laid.
        resources: of the container, where a podTemplate says nothing else.
        labels: besides those by which a pod is found.
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
        workflow: its spec is there, and its podTemplate has no refusals.
        claim: the attempt, its token, and which nodes it had better not get.
        settings: what holds for all pods.
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
                    # A Workflow may go before its pods; and blocking would ask for a right to its finalizers.
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
        # One for all attempts of the run: their sets of strings have one order.
        "env": [{"name": "PYTHONHASHSEED", "value": str(seed)}],
        "resources": dict(settings.resources),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        # Why an attempt could not start is in its last words.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": _SCRATCH, "mountPath": _SCRATCH_PATH}],
    }
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    user = settings.runtime_user
    if spec.image is None:
        security |= {} if user is None else {"runAsUser": user, "runAsGroup": user, "fsGroup": user}
        # That user has no home of its own in the image, and could not write there; a platform's has no name, either.
        container["env"] += [{"name": "HOME", "value": _SCRATCH_PATH}, {"name": "USER", "value": "perdure"}]
    elif settings.tls.client_secret is not None and user is not None:
        # Whoever the image's user is, its group is to read the key.
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
    """A pod's spec for the other nodes, as long as there are any that take it."""
    affinity = spec.get("affinity", {})
    of_nodes = affinity.get("nodeAffinity", {}) if isinstance(affinity, Mapping) else None
    if not nodes or not isinstance(of_nodes, Mapping) or not isinstance(of_nodes.get(_PREFERRED, []), list):
        return spec
    others = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in nodes]
    preferred = [*of_nodes.get(_PREFERRED, []), {"weight": 100, "preference": {"matchFields": others}}]
    return {**spec, "affinity": {**affinity, "nodeAffinity": {**of_nodes, _PREFERRED: preferred}}}


def _environment(workflow: Workflow, claim: CreatePod, settings: PodSettings, grace: int) -> list[dict[str, Any]]:
    """What `perdure exec` reads. It comes first, so that variables of the template can refer to it."""
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
        # Of local runs alone. Empty, so that no `envFrom` of a template sets them.
        *({"name": name, "value": ""} for name in ("PERDURE_PATIENCE_SECONDS", "PERDURE_PARENT", "PERDURE_EVENTS_FD")),
        _field("PERDURE_POD_NAME", "metadata.name"),
        _field("PERDURE_NODE_NAME", "spec.nodeName"),
    ]


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _add(to: dict[str, Any], field: str, ours: Sequence[Mapping[str, Any]]) -> None:
    """Add what no template takes the place of: two of a name, the API server refuses."""
    given = to.get(field, [])
    if ours and isinstance(given, list):
        to[field] = [*given, *ours]


def _drop_unused_scratch(spec: dict[str, Any]) -> None:
    """Where a template mounts something else at its place, nothing uses our empty folder."""
    mounts = [one.get("volumeMounts") for one in [*spec["containers"], *spec.get("initContainers", [])]]
    if all(isinstance(some, list) and not any(_is_scratch(mount) for mount in some) for some in mounts if some):
        spec["volumes"] = [volume for volume in spec.get("volumes", []) if not _is_scratch(volume)]


def _is_scratch(item: object) -> bool:
    return isinstance(item, Mapping) and item.get("name") == _SCRATCH
