"""Validates podTemplates, and has the messages for violations.

The API server checks the same rules with the same messages, as far as CEL can read a template (`models`). `refusals`
checks all of them, also for objects that were stored before a rule was added.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from .names import CONTAINER, LABEL_MANAGED_BY, OURS

__all__ = ["refusals", "too_large"]

MAX_TEMPLATE_BYTES: Final = 64 * 1024
"""Most bytes of a podTemplate as compact JSON in UTF-8. The operator has several templates in memory at a time."""

RESERVED_ENV: Final = "PERDURE"
"""The prefix of the operator's variables. A template's own `prefix` must not begin with it, either."""

_MOST_LEVELS: Final = 50

TEMPLATE_FIELDS: Final = "podTemplate has metadata and spec, as a pod has; put containers, volumes and such below spec"
METADATA: Final = "only labels and annotations can be given: a pod's name, owner and namespace come from its Workflow"
LABELS: Final = f"labels {OURS}* and {LABEL_MANAGED_BY} are the operator's, by which it finds its pods; use other names"
ANNOTATIONS: Final = f"annotations {OURS}* are the operator's; use other names"
RESTART_POLICY: Final = (
    "a pod is one attempt, so its restartPolicy is Never: remove it; backoffLimit says how often to try again"
)
SHARE_PROCESSES: Final = (
    "shareProcessNamespace must stay off: an attempt must be able to end every process that it started; remove it"
)
HOST_PID: Final = "hostPID must stay off: an attempt must be able to end every process that it started; remove it"
POD_DEADLINE: Final = (
    "a deadline of the pod would end an attempt, not the run: set spec.activeDeadlineSeconds of the Workflow instead"
)
GRACE: Final = "terminationGracePeriodSeconds is at least 1: a step in flight needs time to finish"
COMMAND: Final = (
    f"command and args of the container {CONTAINER!r} are the operator's: say what to run by spec.entrypoint, and what"
    " to prepare in an init container"
)
IMAGE: Final = f"the image of the container {CONTAINER!r} is spec.image of the Workflow: set that instead"
CONTAINER_RESTART: Final = (
    f"the container {CONTAINER!r} is one attempt and never restarts: remove restartPolicy and restartPolicyRules"
)
ENV: Final = f"variables {RESERVED_ENV}* of the container {CONTAINER!r} are the operator's; use other names"
ENV_PREFIX: Final = f"a prefix {RESERVED_ENV}* would set variables that are the operator's; use another prefix"
INIT_NAME: Final = f"{CONTAINER!r} is the container that runs the workflow: give init containers other names"

_SWITCHES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "restartPolicy": (lambda value: value in (None, "Never"), RESTART_POLICY),
    "shareProcessNamespace": (lambda value: not value, SHARE_PROCESSES),
    "hostPID": (lambda value: not value, HOST_PID),
    "activeDeadlineSeconds": (lambda value: value is None, POD_DEADLINE),
    "terminationGracePeriodSeconds": (lambda value: value is None or (type(value) is int and value >= 1), GRACE),
}
"""Fields of a pod's spec, and their permitted values."""

_METADATA_FIELDS = {"labels", "annotations"}


def refusals(template: Any) -> list[str]:
    """The violations of a podTemplate, one sentence each, which begins with the path of the field.

    Total for any JSON value. Values that are only invalid in a pod are rejected by the API server on its creation.
    """
    return list(_template(template, "podTemplate"))


def too_large(template: Any) -> str | None:
    """The violation if a podTemplate is too large. Checked first, since processing takes many times its size."""
    size = len(json.dumps(template, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass"))
    if size > MAX_TEMPLATE_BYTES:
        return (
            f"podTemplate: it has {size} bytes, and {MAX_TEMPLATE_BYTES} are the most: put large files and values into"
            " ConfigMaps and Secrets that it mounts, or into the image"
        )
    inside: list[Any] = [template]
    for _ in range(_MOST_LEVELS):
        inside = [deeper for one in inside for deeper in _inside(one)]
    return f"podTemplate: more than {_MOST_LEVELS} levels of it are nested, and no pod has so many" if inside else None


def _inside(value: Any) -> Iterator[Any]:
    """The objects and lists in an object or a list."""
    held = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return (one for one in held if isinstance(one, (Mapping, list)))


def _template(template: Any, at: str) -> Iterator[str]:
    if (large := too_large(template)) is not None:
        yield large
        return
    if not isinstance(template, Mapping):
        yield f"{at}: {TEMPLATE_FIELDS}"
        return
    if template.keys() - {"metadata", "spec"}:
        yield f"{at}: {TEMPLATE_FIELDS}"
    yield from _metadata(template.get("metadata"), f"{at}.metadata")
    yield from _spec(template.get("spec"), f"{at}.spec")


def _metadata(metadata: Any, at: str) -> Iterator[str]:
    if metadata is None:
        return
    if not isinstance(metadata, Mapping):
        yield f"{at}: must be an object with labels and annotations"
        return
    if any(value is not None for key, value in metadata.items() if key not in _METADATA_FIELDS):
        yield f"{at}: {METADATA}"
    for field, message in (("labels", LABELS), ("annotations", ANNOTATIONS)):
        given = metadata.get(field) or {}
        if not isinstance(given, Mapping):
            yield f"{at}.{field}: must be an object of texts"
        elif any(str(key).startswith(OURS) or (key == LABEL_MANAGED_BY and field == "labels") for key in given):
            yield f"{at}.{field}: {message}"


def _spec(spec: Any, at: str) -> Iterator[str]:
    if spec is None:
        return
    if not isinstance(spec, Mapping):
        yield f"{at}: must be an object, as the spec of a pod is"
        return
    for field, (allowed, message) in _SWITCHES.items():
        if not allowed(spec.get(field)):
            yield f"{at}.{field}: {message}"
    for field in ("containers", "initContainers", "volumes"):
        yield from _named(spec.get(field), f"{at}.{field}")
    for index, container in enumerate(_items(spec.get("containers"))):
        if container.get("name") == CONTAINER:
            yield from _workflow_container(container, f"{at}.containers[{index}]")
    if any(container.get("name") == CONTAINER for container in _items(spec.get("initContainers"))):
        yield f"{at}.initContainers: {INIT_NAME}"


def _workflow_container(container: Mapping[str, Any], at: str) -> Iterator[str]:
    if container.get("image") is not None:
        yield f"{at}.image: {IMAGE}"
    if container.get("command") is not None or container.get("args") is not None:
        yield f"{at}: {COMMAND}"
    if container.get("restartPolicy") is not None or container.get("restartPolicyRules") is not None:
        yield f"{at}: {CONTAINER_RESTART}"
    yield from _named(container.get("env"), f"{at}.env")
    if any(str(variable.get("name")).startswith(RESERVED_ENV) for variable in _items(container.get("env"))):
        yield f"{at}.env: {ENV}"
    if any(str(source.get("prefix", "")).startswith(RESERVED_ENV) for source in _items(container.get("envFrom"))):
        yield f"{at}.envFrom: {ENV_PREFIX}"


def _named(items: Any, at: str) -> Iterator[str]:
    """Violations of items without a unique name, by which they would merge with ours."""
    if items is None:
        return
    if not isinstance(items, list) or not all(isinstance(item, Mapping) for item in items):
        yield f"{at}: must be a list of objects"
        return
    names = [item.get("name") for item in items]
    if not all(isinstance(name, str) and name for name in names):
        yield f"{at}: each needs a name, by which it is laid over ours"
    elif twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"{at}: {twice[0]!r} is there twice"


def _items(value: Any) -> Sequence[Mapping[str, Any]]:
    return [item if isinstance(item, Mapping) else {} for item in value] if isinstance(value, list) else []
