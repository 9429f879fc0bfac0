"""Lays a podTemplate over the operator's pod manifest.

Maps merge by key; containers, init containers, volumes, variables and pull secrets by name; mounts and devices by path;
tolerations are added. A variable, a volume or a mount of the template replaces ours as a whole, since its parts exclude
each other. Every other list replaces ours. `null` removes our value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

from .names import CONTAINER

__all__ = ["lay_over"]

_NAMED: Final = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
}
_DEEP: Final = frozenset({"containers", "initContainers"})
"""Lists whose items merge with ours; items of the other lists replace ours."""

_ADDED: Final = frozenset({"tolerations"})

_STAYING: Final = frozenset({"args", "command", "containers", "image", "name", "restartPolicy"})
"""Fields that a template must neither change nor remove."""

_RESOURCES: Final = ("requests", "limits")


def lay_over(pod: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """The pod with the template laid over it. Total: the API server rejects values that are invalid in a pod.

    Args:
        pod: with `metadata` and `spec`; our container is the first.
        template: without violations (`validation.refusals`).
    """
    laid = _lay(pod, {field: template[field] for field in ("metadata", "spec") if template.get(field)})
    given = _container(template)
    if given is not None and isinstance(laid.get("spec"), dict):
        for container in laid["spec"].get("containers", []):
            if container.get("name") == CONTAINER:
                _drop_contradicted(container, given)
    return laid


def _lay(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    laid = dict(ours)
    for key, value in theirs.items():
        if value is None:
            if key not in _STAYING:
                laid.pop(key, None)
        elif isinstance(value, Mapping):
            # Also if we have no value there: a null of the template must not become a field of the pod.
            mine = laid.get(key)
            laid[key] = _lay(mine if isinstance(mine, Mapping) else {}, value)
        elif _are_items(value) and _are_items(laid.get(key, [])):
            laid[key] = _lay_list(key, laid.get(key, []), value)
        else:
            laid[key] = value
    return laid


def _lay_list(key: str, ours: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]]) -> list[Any]:
    if key in _ADDED:
        return [*ours, *theirs]
    if key not in _NAMED:
        return list(theirs)
    id_of: Callable[[Mapping[str, Any]], str] = lambda item: _normal(item.get(_NAMED[key]))  # noqa: E731
    laid = {id_of(item): item for item in ours}
    for item in theirs:
        mine = laid.get(id_of(item), {}) if key in _DEEP else {}
        laid[id_of(item)] = _lay(mine, item)
    return list(laid.values())


def _normal(name: object) -> str:
    """A name, or a path without the slash in the end."""
    return str(name).rstrip("/") or str(name)


def _are_items(value: object) -> TypeGuard[list[Mapping[str, Any]]]:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _container(template: Mapping[str, Any]) -> Mapping[str, Any] | None:
    spec = template.get("spec")
    containers = spec.get("containers") if isinstance(spec, Mapping) else None
    if not _are_items(containers):
        return None
    return next((one for one in containers if one.get("name") == CONTAINER), None)


def _drop_contradicted(container: dict[str, Any], given: Mapping[str, Any]) -> None:
    """If a template requests 2 GiB without a limit, our limit of 1 GiB is removed; and vice versa."""
    asked, laid = given.get("resources"), container.get("resources")
    if not isinstance(asked, Mapping) or not isinstance(laid, dict):
        return
    for one, other in (_RESOURCES, _RESOURCES[::-1]):
        alone = _keys(asked.get(one)) - _keys(asked.get(other))
        if isinstance(laid.get(other), dict):
            laid[other] = {name: amount for name, amount in laid[other].items() if name not in alone}


def _keys(value: object) -> set[object]:
    return set(value) if isinstance(value, Mapping) else set()
