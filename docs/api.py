"""The tables of the API reference: every field of a Workflow, from the very schema that the API server has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from perdure_operator.api.crd import crd

__all__ = ["tables"]

_RULES: Final = "x-kubernetes-validations"
_LEFT_OUT: Final = frozenset({"apiVersion", "kind", "metadata"})
_LIMITS: Final = (
    ("minimum", "at least {}"),
    ("minLength", "at least {} characters"),
    ("minProperties", "at least {} entry"),
    ("maximum", "at most {}"),
    ("maxLength", "at most {} characters"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} entries"),
)
_WRITTEN_BY_US: Final = "status"
_BIGGEST: Final = 2**31 - 1
"""A limit that is the type's own says nothing."""


def tables() -> str:
    """A table for each object, those that hold others first."""
    (version,) = crd()["spec"]["versions"]
    root = version["schema"]["openAPIV3Schema"]
    seen: dict[str, str] = {}
    parts = [
        part
        for name, schema in root["properties"].items()
        if name not in _LEFT_OUT
        for part in _objects(name, schema, seen)
    ]
    return "\n".join([*parts, _columns(version)])


def _objects(path: str, schema: Mapping[str, Any], seen: dict[str, str]) -> Iterator[str]:
    """The tables of an object and of those in it; what is the same as an object before refers to that."""
    known = seen.setdefault(json.dumps(schema), path)
    if known != path:
        yield f"### {path}\n\nAs {known}.\n"
        return
    yield _table(path, schema)
    for name, one in schema["properties"].items():
        if "properties" in one:
            yield from _objects(f"{path}.{name}", one, seen)
        elif "properties" in one.get("items", {}):
            yield from _objects(f"{path}.{name}[]", one["items"], seen)


def _table(path: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    limited = not path.startswith(_WRITTEN_BY_US)
    rows = "".join(
        _row(name, one, required=name in required, limited=limited) for name, one in schema["properties"].items()
    )
    more = "Its other fields are those that a pod has.\n\n" if _is_open(schema) else ""
    refused = "".join(f"- {message}\n" for message in _refusals(schema))
    below = f"\nRefused, with these words:\n\n{refused}" if refused else ""
    return f"### {path}\n\n{more}| field | type | what it is |\n| --- | --- | --- |\n{rows}{below}"


def _is_open(schema: Mapping[str, Any]) -> bool:
    """Whether it takes fields that are not in its table: some count theirs, to take no others."""
    counted = any(rule["rule"].startswith("size(dyn(self))") for rule in schema.get(_RULES, ()))
    return bool(schema.get("x-kubernetes-preserve-unknown-fields")) and not counted


def _row(name: str, schema: Mapping[str, Any], *, required: bool, limited: bool) -> str:
    said = [schema.get("description", "")]
    if required:
        said.append("Required.")
    elif schema.get("default") not in (None, {}, {"observedGeneration": -1}):
        said.append(f"Default: `{str(schema['default']).lower()}`.")
    if limited and (limits := _limits(schema)):
        said.append(f"{limits[0].upper()}{limits[1:]}.")
    text = " ".join(part for part in said if part).replace("|", "\\|")
    return f"| `{name}` | {_type(schema)} | {text} |\n"


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "one of " + ", ".join(f"`{one}`" for one in schema["enum"])
    kind = schema.get("type")
    if kind is None:
        return "anything"
    if kind == "array":
        return f"list of {_type(schema['items'])}s"
    held = schema.get("additionalProperties")
    if kind == "object" and isinstance(held, Mapping):
        return f"map to {held['type']}s" if "type" in held else "map to anything"
    return "time" if schema.get("format") == "date-time" else str(kind)


def _limits(schema: Mapping[str, Any]) -> str:
    found = [
        text.format(f"{schema[key]:,}")
        for key, text in _LIMITS
        if key in schema and not (schema[key] in (0, 1) and key == "minLength") and schema[key] != _BIGGEST
    ]
    return ", ".join(found)


def _refusals(schema: Mapping[str, Any]) -> Iterator[str]:
    """The words of the rules of an object, and of its fields that have no table of their own."""
    for rule in schema.get(_RULES, ()):
        yield rule["message"]
    for one in schema["properties"].values():
        if "properties" not in one:
            for rule in one.get(_RULES, ()):
                yield rule["message"]


def _columns(version: Mapping[str, Any]) -> str:
    rows = "".join(
        f"| {column['name']} | `{column['jsonPath']}` | {'yes' if column.get('priority') else ''} |\n"
        for column in version["additionalPrinterColumns"]
    )
    fields = ", ".join(f"`{one['jsonPath'].removeprefix('.')}`" for one in version["selectableFields"])
    return (
        "### What kubectl shows\n\n"
        f"| column | from | with `-o wide` alone |\n| --- | --- | --- |\n{rows}\n"
        f"`kubectl get dwf --field-selector` takes {fields}, and a name or a namespace.\n"
    )
