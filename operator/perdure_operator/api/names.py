"""What the API is called: group, kind, labels and annotations. Others select and watch by these."""

from __future__ import annotations

import re
from typing import Final
from uuid import UUID

from ..decide.observed import Workflow

__all__ = [
    "API_VERSION",
    "CONTAINER",
    "FIELD_MANAGER",
    "GENERATION_ANNOTATION",
    "GROUP",
    "KIND",
    "LABEL_ATTEMPT",
    "LABEL_INSTANCE",
    "LABEL_MANAGED_BY",
    "LABEL_WORKFLOW",
    "LABEL_WORKFLOW_UID",
    "MANAGED_BY",
    "OURS",
    "PLURAL",
    "POD_SELECTOR",
    "RELEASE_ANNOTATION",
    "RESTART_ANNOTATION",
    "RUNTIME_USER",
    "VERSION",
    "pod_labels",
    "pod_name",
]

GROUP: Final = "perdure.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "Workflow"
PLURAL: Final = "workflows"

FIELD_MANAGER: Final = "perdure"
"""Who owns the status, for server-side apply."""

CONTAINER: Final = "workflow"
"""The container of a pod that runs the attempt."""

RUNTIME_USER: Final = 10001
"""The user, and the group, that the runtime image has."""

OURS: Final = f"{GROUP}/"
"""Labels and annotations that begin so belong to the operator."""

LABEL_WORKFLOW: Final = f"{OURS}workflow"
LABEL_WORKFLOW_UID: Final = f"{OURS}workflow-uid"
LABEL_ATTEMPT: Final = f"{OURS}attempt"
LABEL_INSTANCE: Final = f"{OURS}instance"
"""On a Workflow: whose it is, where several operators share a cluster. On a pod: the same."""
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "perdure"
POD_SELECTOR: Final = f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_WORKFLOW_UID}"
"""Selects the pods of all Workflows."""

RESTART_ANNOTATION: Final = f"{OURS}restart"
"""A person sets it to have a run whose checkpoints are missing start anew."""

RELEASE_ANNOTATION: Final = f"{OURS}release"
"""On the kind: the release that it is of. An older one does not take its place."""

GENERATION_ANNOTATION: Final = f"{OURS}generation"
"""On a pod: the generation of the Workflow from which it was made."""

_LONGEST_LABEL = 63
_LONGEST_PREFIX = 40
_TAIL = re.compile(r"[^a-zA-Z0-9]+$")


def pod_name(workflow: str, uid: UUID, attempt: int) -> str:
    """The name of an attempt's pod: known beforehand, and never that of another attempt."""
    return f"{_cut(workflow, _LONGEST_PREFIX)}-{uid.hex[:8]}-{attempt}"


def pod_labels(workflow: Workflow, attempt: int) -> dict[str, str]:
    """The labels by which a pod is found, as a person or as the operator looks for it."""
    return {
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_WORKFLOW: _cut(workflow.key.name, _LONGEST_LABEL),
        LABEL_WORKFLOW_UID: str(workflow.uid),
        LABEL_ATTEMPT: str(attempt),
    }


def _cut(name: str, length: int) -> str:
    """The start of a name; names, and the parts of names between dots, end in a letter or a digit."""
    return _TAIL.sub("", name[:length])
