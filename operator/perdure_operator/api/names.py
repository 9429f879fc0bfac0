"""The names of the API: group, kind, labels and annotations. Other programs select and watch by them."""

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
"""The field manager of the status, for server-side apply."""

CONTAINER: Final = "workflow"
"""The container of a pod that runs the attempt."""

RUNTIME_USER: Final = 10001
"""The user and the group of the runtime image."""

OURS: Final = f"{GROUP}/"
"""The prefix of the operator's labels and annotations."""

LABEL_WORKFLOW: Final = f"{OURS}workflow"
LABEL_WORKFLOW_UID: Final = f"{OURS}workflow-uid"
LABEL_ATTEMPT: Final = f"{OURS}attempt"
LABEL_INSTANCE: Final = f"{OURS}instance"
"""On Workflows and pods: to which operator they belong, if several operators share a cluster."""
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "perdure"
POD_SELECTOR: Final = f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_WORKFLOW_UID}"
"""Selects the pods of all Workflows."""

RESTART_ANNOTATION: Final = f"{OURS}restart"
"""A person sets it to restart a run whose checkpoints are missing."""

RELEASE_ANNOTATION: Final = f"{OURS}release"
"""On the kind: its release. An older release does not replace it."""

GENERATION_ANNOTATION: Final = f"{OURS}generation"
"""On a pod: the generation of the Workflow from which it was made."""

_LONGEST_LABEL = 63
_LONGEST_PREFIX = 40
_TAIL = re.compile(r"[^a-zA-Z0-9]+$")


def pod_name(workflow: str, uid: UUID, attempt: int) -> str:
    """The name of an attempt's pod: deterministic, and unique for each attempt."""
    return f"{_cut(workflow, _LONGEST_PREFIX)}-{uid.hex[:8]}-{attempt}"


def pod_labels(workflow: Workflow, attempt: int) -> dict[str, str]:
    """The labels by which people and the operator find a pod."""
    return {
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_WORKFLOW: _cut(workflow.key.name, _LONGEST_LABEL),
        LABEL_WORKFLOW_UID: str(workflow.uid),
        LABEL_ATTEMPT: str(attempt),
    }


def _cut(name: str, length: int) -> str:
    """The beginning of a name. Names, and their parts between dots, must end in a letter or a digit."""
    return _TAIL.sub("", name[:length])
