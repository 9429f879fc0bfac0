"""The parts of a podTemplate that apply without a cluster: variables and the grace period. The rest is ignored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from perdure.errors import UsageError

from ..api.names import CONTAINER
from ..decide.observed import Spec
from .manifest import Manifest

__all__ = ["LocalTemplate", "local_template"]

_REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")
_SHOWN = ("name", "env", "envFrom")


@dataclass(frozen=True, slots=True)
class LocalTemplate:
    """The parts of a podTemplate for each attempt's process.

    Attributes:
        variables: of the container `workflow`.
        ignored: paths below `spec` that have no effect here.
        used: the ConfigMaps and Secrets of the file that were read, `Kind name`.
    """

    variables: Mapping[str, str]
    ignored: tuple[str, ...]
    used: frozenset[str]


def local_template(spec: Spec, manifest: Manifest, environment: Mapping[str, str]) -> LocalTemplate:
    """Read a valid podTemplate.

    Args:
        spec: of the Workflow.
        manifest: of its file.
        environment: of this process, for variables whose values are not in the file.

    Raises:
        UsageError: the values of variables are unknown here; the message names each, with a remedy.
    """
    reading = _Variables(manifest, environment)
    for container in _containers(spec.pod_template):
        if container.get("name") == CONTAINER:
            reading.take(container)
    if reading.problems:
        raise UsageError(f"the Workflow {manifest.workflow['metadata']['name']}: {'; '.join(reading.problems)}")
    return LocalTemplate(reading.variables, tuple(_ignored(spec)), frozenset(reading.used))


def _containers(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return (template.get("spec") or {}).get("containers") or []


def _ignored(spec: Spec) -> Iterator[str]:
    if spec.image is not None:
        yield "image"
    if spec.ttl_seconds_after_finished is not None:
        yield "ttlSecondsAfterFinished"
    if spec.pod_template.get("metadata"):
        yield "podTemplate.metadata"
    for field, value in (spec.pod_template.get("spec") or {}).items():
        if field not in ("containers", "terminationGracePeriodSeconds") and value is not None:
            yield f"podTemplate.spec.{field}"
    for container in _containers(spec.pod_template):
        place = f"podTemplate.spec.containers[{container['name']}]"
        if container["name"] == CONTAINER:
            yield from (f"{place}.{field}" for field, value in container.items() if value and field not in _SHOWN)
        else:
            yield place


class _Variables:
    """Reads `envFrom` and `env` of a container, as the kubelet does."""

    def __init__(self, manifest: Manifest, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._kept = {"ConfigMap": manifest.config_maps, "Secret": manifest.secrets}
        self._fields = {"metadata.namespace": manifest.namespace}
        self.variables: dict[str, str] = {}
        self.problems: list[str] = []
        self.used: set[str] = set()

    def take(self, container: Mapping[str, Any]) -> None:
        for source in container.get("envFrom") or []:
            self._take_all(source)
        for variable in container.get("env") or []:
            name, value, source = variable["name"], variable.get("value"), variable.get("valueFrom")
            if "=" in name or "\0" in name:
                self.problems.append(f"{name!r} is not a valid name of a variable")
            elif source is not None:
                self._take_from(name, source)
            elif value is not None and not isinstance(value, str):
                self.problems.append(f"the value of the variable {name} must be a text: put it in quotes")
            elif "\0" in (value or ""):
                self.problems.append(f"the value of the variable {name} has a NUL in it, which no variable can have")
            else:
                self.variables[name] = self._expanded(value or "")

    def _expanded(self, value: str) -> str:
        """The text with $(NAME) replaced by known variables; $$ is a dollar sign."""
        return _REFERENCE.sub(lambda found: "$" if found[1] is None else self.variables.get(found[1], found[0]), value)

    def _take_all(self, source: Any) -> None:
        kind, reference = _referred(source, {"configMapRef": "ConfigMap", "secretRef": "Secret"})
        name = str(reference.get("name"))
        known = self._kept.get(kind, {}).get(name)
        if known is not None:
            self.used.add(f"{kind} {name}")
            self.variables |= {f"{source.get('prefix') or ''}{key}": text for key, text in known.items()}
        elif not reference.get("optional"):
            self.problems.append(
                f"variables come from the {kind or 'unknown source'} {name}, which is not in this file: put it there"
            )

    def _take_from(self, name: str, source: Any) -> None:
        kind, reference = _referred(source, {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"})
        kept = self._kept.get(kind, {}).get(str(reference.get("name")), {})
        key, field = str(reference.get("key")), _referred(source, {"fieldRef": "field"})[1].get("fieldPath")
        if key in kept:
            self.used.add(f"{kind} {reference['name']}")
            self.variables[name] = kept[key]
        elif field in self._fields:
            self.variables[name] = self._fields[str(field)]
        elif name in self._environment or reference.get("optional"):
            pass  # a process has the command's own
        else:
            what = f"the {kind} {reference.get('name')}" if kind else "what only a pod has"
            self.problems.append(
                f"the variable {name} comes from {what}, which is not here: give it to the command, as in"
                f" {name}=... perdure run ..." + (f", or put the {kind} into the file" if kind else "")
            )


def _referred(source: Any, kinds: Mapping[str, str]) -> tuple[str, Mapping[str, Any]]:
    if isinstance(source, dict):
        for field, kind in kinds.items():
            if isinstance(source.get(field), dict):
                return kind, source[field]
    return "", {}
