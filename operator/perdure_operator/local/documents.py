"""Reads YAML and JSON as `kubectl` does: the same values are strings, and a repeated key is an error."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any, Final

import yaml
from yaml.constructor import ConstructorError

from perdure.errors import UsageError

__all__ = ["MOST_BYTES", "read_documents"]

MOST_BYTES: Final = 3 * 1024 * 1024
"""Most bytes of a request to the API server."""

_MOST_VALUES = 200_000
"""Most values of a document, including those that aliases repeat."""

_DEEPEST = 200

_MERGE = "tag:yaml.org,2002:merge"


class _NotPlain(Exception):
    """A value that JSON lacks, or too many values."""


def read_documents(file: Path) -> list[Any]:
    """The documents in a file, as plain JSON values; empty ones are left out.

    Raises:
        UsageError: it cannot be parsed, or has a value that JSON lacks; the message has the place.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise UsageError(f"{file} is too large: an API server takes {MOST_BYTES} bytes at most")
    try:
        text = data.decode("utf-8-sig")
        found = _json(text) if file.suffix == ".json" else list(yaml.load_all(text, _Loader))
        left = [_MOST_VALUES]
        return [_plain(one, left, 0) for one in found if one is not None]
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text: byte {error.start} is invalid") from error
    except yaml.MarkedYAMLError as error:
        raise UsageError(f"{file} is not YAML: {_where(error)}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise UsageError(f"{file} cannot be read: it is nested too deeply") from error
    except (_NotPlain, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error


def _json(text: str) -> list[Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise _NotPlain(f"the key {twice!r} is there twice")
        return dict(pairs)

    return [json.loads(text, object_pairs_hook=unique)] if text.strip() else []


def _where(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
    return f"{place}{error.problem or error.context}"


def _plain(value: Any, left: list[int], depth: int) -> Any:
    left[0] -= 1
    if left[0] < 0:
        raise _NotPlain(f"it has more than {_MOST_VALUES} values, with all that its aliases repeat")
    if depth > _DEEPEST:
        raise _NotPlain("it is nested too deeply, or contains itself")
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise _NotPlain(f"{value} is not a number in JSON")
            return value
        case dict():
            return {key: _plain(one, left, depth + 1) for key, one in value.items()}
        case list():
            return [_plain(one, left, depth + 1) for one in value]
        case _:
            raise _NotPlain(f"JSON has no {type(value).__name__}; write a text, a number, a list or an object")


def _key(key: yaml.Node) -> yaml.ScalarNode:
    """A key as in Kubernetes' YAML: always a string, even if it looks like a number."""
    if not isinstance(key, yaml.ScalarNode):
        raise ConstructorError(None, None, "a key must be a text", key.start_mark)
    if key.tag == _MERGE:
        return key
    text = key.value
    if key.tag == "tag:yaml.org,2002:bool":
        text = "true" if yaml.SafeLoader.bool_values[text.lower()] else "false"
    elif key.tag == "tag:yaml.org,2002:null":
        text = "null"
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, key.start_mark, key.end_mark)


class _Loader(yaml.SafeLoader):
    """Differs from YAML 1.1 where the YAML library of Kubernetes does."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        node.value = [(_key(key), value) for key, value in node.value]
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and key.tag != _MERGE:
                raise ConstructorError(None, None, f"the key {key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return node

    def construct_number(self, node: yaml.ScalarNode) -> int | float | str:
        text: str = self.construct_scalar(node)
        if ":" in text:  # 12:30 is a time of day, not 750
            return text
        return self.construct_yaml_int(node) if node.tag.endswith(":int") else self.construct_yaml_float(node)


def _as_text(loader: _Loader, node: yaml.ScalarNode) -> Hashable:
    return str(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_number)
