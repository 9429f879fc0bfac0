"""Validates a Workflow as the API server would, with its messages: strictly by the kind's schema, then by its rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from perdure.errors import UsageError
from perdure.pod.source import problem_with_files

from ..api.crd import crd
from ..api.models import FILE_NAME, MAX_BYTES
from ..api.parse import parse_workflow
from ..api.validation import refusals
from ..decide.observed import Workflow
from .documents import MOST_BYTES

__all__ = ["admit", "immutable_words", "problems"]

_RULES: Final = "x-kubernetes-validations"
_ANYTHING: Final = "x-kubernetes-preserve-unknown-fields"
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def admit(workflow: Mapping[str, Any], namespace: str) -> Workflow:
    """The Workflow with the defaults of its kind, and a UID and status that are placeholders.

    Raises:
        UsageError: an API server would reject it, or an operator could not parse it.
    """
    if said := problems(workflow):
        name = (workflow.get("metadata") or {}).get("name") or "without a name"
        raise UsageError(f"the Workflow {name} is refused: {'; '.join(said)}")
    spec = {field: value for field, value in workflow["spec"].items() if value is not None}
    metadata = {"name": workflow["metadata"]["name"], "namespace": namespace, "generation": 1}
    parsed = parse_workflow({"metadata": metadata, "spec": spec})
    problem = parsed.problem
    if problem is None and parsed.spec is not None and parsed.spec.source_inline is not None:
        reserved = problem_with_files(parsed.spec.source_inline)
        problem = reserved and f"spec.source.inline: {reserved}"
    if problem is not None:
        raise UsageError(f"the Workflow {parsed.key.name} is refused: {problem}")
    return parsed


def problems(workflow: Mapping[str, Any]) -> list[str]:
    """The API server's errors for a Workflow. As there, rules are checked only if the schema is satisfied."""
    if len(json.dumps(workflow, ensure_ascii=False).encode(errors="surrogatepass")) > MOST_BYTES:
        return [f"Request entity too large: limit is {MOST_BYTES}"]
    said = [*_metadata(workflow.get("metadata")), *_Schema().check(_schema(), {**workflow, "status": None}, "")]
    return said or list(_rules(workflow["spec"]))


@cache
def immutable_words(field: str) -> str:
    """The message for a change of an immutable field of the spec."""
    rules = _schema()["properties"]["spec"][_RULES]
    return next(f"spec.{field}: Forbidden: {one['message']}" for one in rules if one.get("fieldPath") == f".{field}")


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def _metadata(metadata: Any) -> Iterator[str]:
    if not isinstance(metadata, dict):
        yield "metadata: Required value: it has the Workflow's name"
        return
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if name is None and metadata.get("generateName") is not None:
        yield "metadata.name: Required value: a run is found again by its name, so generateName will not do here"
    elif name is None:
        yield "metadata.name: Required value: name or generateName is required"
    elif not isinstance(name, str) or len(name) > 253 or not _NAME.fullmatch(name):
        yield (
            f"metadata.name: Invalid value: {json.dumps(name)}: a lowercase RFC 1123 subdomain must consist of lower"
            " case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
        )
    if namespace is not None and (
        not isinstance(namespace, str) or len(namespace) > 63 or not _LABEL.fullmatch(namespace)
    ):
        yield (
            f"metadata.namespace: Invalid value: {json.dumps(namespace)}: a lowercase RFC 1123 label must consist of"
            " lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
        )


class _Schema:
    """Validates a value by a structural schema."""

    def check(self, schema: Mapping[str, Any], value: Any, at: str) -> Iterator[str]:
        kind = schema.get("type")
        if kind is not None and not self._is(kind, value):
            found = "null" if value is None else next(name for name in _TYPES if self._is(name, value))
            yield f'{at}: Invalid value: "{found}": {at} in body must be of type {kind}: "{found}"'
            return
        match value:
            case dict():
                yield from self._object(schema, value, at)
            case list():
                yield from self._list(schema, value, at)
            case str():
                if len(value) < (least := schema.get("minLength", 0)):
                    yield f'{at}: Invalid value: "{value}": {at} in body should be at least {least} chars long'
                if len(value) > schema.get("maxLength", len(value)):
                    yield f"{at}: Too long: may not be more than {schema['maxLength']} bytes"
            case int() | float() if not isinstance(value, bool):
                shown = f"{at}: Invalid value: {value}: {at} in body should be"
                if value < schema.get("minimum", value):
                    yield f"{shown} greater than or equal to {schema['minimum']}"
                if value > schema.get("maximum", value):
                    yield f"{shown} less than or equal to {schema['maximum']}"
            case _:
                pass

    @staticmethod
    def _is(kind: str, value: Any) -> bool:
        if isinstance(value, bool):
            return kind == "boolean"
        if isinstance(value, float) and value.is_integer() and kind == "integer":
            return True
        return isinstance(value, _TYPES[kind])

    def _object(self, schema: Mapping[str, Any], value: dict[str, Any], at: str) -> Iterator[str]:
        fields, size = schema.get("properties", {}), len(value)
        # Null counts as absent, unless the field is nullable.
        given = {key: one for key, one in value.items() if one is not None or key not in fields}
        for key in schema.get("required", ()):
            if key not in given:
                yield f"{_below(at, key)}: Required value"
        if size < (least := schema.get("minProperties", 0)):
            yield f"{at}: Invalid value: {size}: {at} in body should have at least {least} properties"
        if size > (most := schema.get("maxProperties", size)):
            yield f"{at}: Too many: {size}: must have at most {most} items"
        for key, one in given.items():
            if key not in fields:
                yield from self._other(schema, key, one, at)
            elif at or key != "metadata":  # which has a schema of its own
                yield from self.check(fields[key], one, _below(at, key))

    def _other(self, schema: Mapping[str, Any], key: str, value: Any, at: str) -> Iterator[str]:
        """A key that is not among the properties."""
        rest = schema.get("additionalProperties")
        if isinstance(rest, dict):
            if value is not None or not rest.get("nullable"):
                yield from self.check(rest, value, _below(at, key))
        elif schema.get("properties") and not schema.get(_ANYTHING):
            yield f'strict decoding error: unknown field "{_below(at, key)}"'

    def _list(self, schema: Mapping[str, Any], value: list[Any], at: str) -> Iterator[str]:
        if len(value) > schema.get("maxItems", len(value)):
            yield f"{at}: Too many: {len(value)}: must have at most {schema['maxItems']} items"
        seen: list[Any] = []
        for index, one in enumerate(value):
            yield from self.check(schema.get("items", {}), one, f"{at}[{index}]")
            keys = schema.get("x-kubernetes-list-map-keys", ())
            if keys and isinstance(one, dict):
                which = {key: one.get(key) for key in keys}
                if which in seen:
                    yield f"{at}[{index}]: Duplicate value: {json.dumps(which, separators=(',', ':'))}"
                seen.append(which)


def _below(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key


def _rules(spec: Mapping[str, Any]) -> Iterator[str]:
    """The rules of the schema by their CEL text. A test compares them with the API server's responses."""
    fields = _schema()["properties"]["spec"]["properties"]
    for field in ("entrypoint", "image"):
        value = spec.get(field)
        if value is not None and not re.fullmatch(_pattern(fields[field]), value):
            yield f'spec.{field}: Invalid value: "{value}": {_words(fields[field])}'
    if spec.get("source") is not None:
        yield from _source_rules(spec["source"], fields["source"])
    if spec.get("podTemplate") is not None:
        yield from (f"spec.{refusal}" for refusal in refusals(spec["podTemplate"]))


def _source_rules(source: Mapping[str, Any], field: Mapping[str, Any]) -> Iterator[str]:
    inline, config_map = source.get("inline"), source.get("configMap")
    if (inline is None) == (config_map is None):
        yield f"spec.source: Invalid value: {_words(field)}"
    if config_map is not None:
        name, schema = config_map.get("name", ""), field["properties"]["configMap"]["properties"]["name"]
        if not re.fullmatch(_pattern(schema), name):
            yield f'spec.source.configMap.name: Invalid value: "{name}": {_words(schema)}'
    if inline is not None:
        schema = field["properties"]["inline"]
        if not all(len(name) <= 253 and re.fullmatch(FILE_NAME.strip("^$"), name) for name in inline):
            yield f"spec.source.inline: Invalid value: {_words(schema)}"
        if sum(len(text) for text in inline.values()) > MAX_BYTES:
            yield f"spec.source.inline: Invalid value: {_words(schema, 1)}"


def _words(field: Mapping[str, Any], rule: int = 0) -> str:
    return str(field[_RULES][rule]["message"])


def _pattern(field: Mapping[str, Any]) -> str:
    """The pattern that the rule of a field requires for its whole value."""
    [rule] = field[_RULES]
    found = re.fullmatch(r"self\.matches\('\^(.*)\$'\)", rule["rule"])
    assert found is not None, f"a pattern is all that is expected of {rule['rule']}"
    return found[1]
