"""Core schemas of pydantic, changed so that values come back exactly.

A value that pydantic reads from its own JSON is equal to the written one, but often not the same: a zone becomes an
offset, an `int` under `float` a float, a field that `__init__` does not take gets its default again. `exact` takes the
schema that pydantic made for a hint and changes those parts. It works on the schema, not on the hint, because fields of
the user's classes can be reached only there. The comparison after reading rejects a value that it cannot carry.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import typing
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from pydantic_core import PydanticSerializationUnexpectedValue, from_json, to_json

from .schema_walk import Change, Node, after, first_of, rewrite, split, writes
from .zones import BEYOND_PYDANTIC, fixed_offset, is_beyond_pydantic, read_moment, write_moment

__all__ = ["FLOAT", "exact"]

FLOAT: Final[Node] = {
    "type": "lax-or-strict",
    "lax_schema": {"type": "float"},
    "strict_schema": {
        "type": "union",
        "choices": [{"type": "float"}, {"type": "int"}],
        "custom_error_type": "float_type",
    },
}
"""A float, or an int in its place, as type checkers allow; what people write becomes a float."""

_MOMENTS: Final[dict[str, Any]] = {"datetime": datetime.datetime, "time": datetime.time}

_NATURAL_KEYS: Final = frozenset(
    {"str", "int", "bool", "bytes", "date", "datetime", "time", "timedelta", "decimal", "uuid", "url", "multi-host-url"}
    | {"any", "complex", "fraction", "lax-or-strict", "json-or-python", "function-plain"}
)
"""Schemas of keys whose text in JSON pydantic reads back."""

Field: TypeAlias = Callable[[type, str], Node | None]
"""Gives the schema of a dataclass's field for which pydantic made none; None if there cannot be one."""


def exact(schema: Any, field: Field) -> Any:
    """The schema under which values come back exactly; itself where nothing needs to be changed."""
    return _Exact(schema, field).schema


class _Exact:
    def __init__(self, schema: Any, field: Field) -> None:
        self._field = field
        self._definitions = {one["ref"]: one for one in schema.get("definitions", ()) if "ref" in one}
        self.schema = rewrite(schema, self._change, self._within)

    def _within(self, node: Node, change: Change) -> Change:
        if node["type"] == "model" or (node["type"] == "dataclass" and hasattr(node["cls"], "__pydantic_fields__")):
            return self._change_in_model
        return self._change if node["type"] == "dataclass" else change

    def _change_in_model(self, node: Node, original: Node) -> Node:
        # Pydantic promises that a model's float is one, and makes it one where it validates.
        return node if node["type"] == "float" else self._change(node, original)

    def _change(self, node: Node, original: Node) -> Node:
        change = _CHANGES.get(node["type"])
        if change is not None:
            # Who serializes in a way of their own reads in a way of their own.
            return node if "serialization" in node else change(node)
        if node["type"] in ("dict", "ordered-dict", "counter") and self._needs_json(original.get("keys_schema")):
            return {**node, "keys_schema": _json_key(node["keys_schema"])}
        if node["type"] == "dataclass":
            return self._change_dataclass(node)
        return node

    def _change_dataclass(self, node: Node) -> Node:
        """Read what `__init__` does not take, too, and let nothing that `__post_init__` does change a field."""
        plain, name = split(node)
        arguments = node["schema"]
        kind: type = node["cls"]
        if arguments["type"] != "dataclass-args" or not dataclasses.is_dataclass(kind):
            return node
        known = {one["name"] for one in arguments["fields"]}
        left_out = [one.name for one in dataclasses.fields(kind) if one.compare and one.name not in known]
        made = {one: schema for one in left_out if (schema := self._field(typing.cast("type", kind), one))}
        given = [one for one in arguments["fields"] if not one.get("init_only")]
        fields = [_stored_field(one) for one in given] + [
            {"type": "dataclass-field", "name": one, "schema": schema} for one, schema in made.items()
        ]
        runs_post_init = plain.get("post_init", False)
        takes_all = len(given) == len(known) and all(one.get("init", True) for one in given)
        if takes_all and not made and not runs_post_init:
            return node
        stored = plain | {"post_init": False, "schema": {**arguments, "fields": fields, "collect_init_only": False}}
        if len(given) < len(known):
            # What `InitVar`s were is not known any more. Text that has one was not written here.
            stored["schema"]["extra_behavior"] = "forbid"
        elif runs_post_init:
            stored = after(_post_init([one["name"] for one in fields]), stored)
        if not takes_all or made:
            # Text without the fields that are always written is what people have written, too.
            stored = first_of(stored, plain)
        # People's input is read as the class itself would take it.
        return {"type": "lax-or-strict", "lax_schema": plain, "strict_schema": stored} | name

    def _needs_json(self, key: Node | None) -> bool:
        """Whether a key's text alone does not determine the key: `(1, 2)`, `1 | "1"`, `None`."""
        if key is None:
            return False
        kind = key["type"]
        if kind == "definition-ref" and key["schema_ref"] in self._definitions:
            return self._needs_json(self._definitions[key["schema_ref"]])
        if kind in ("function-after", "function-before", "function-wrap", "default"):
            return self._needs_json(key["schema"])
        if kind == "literal":
            return not all(isinstance(member, str) for member in key["expected"])
        if kind == "enum":
            return not _is_written_as_text(key["cls"])
        return kind not in _NATURAL_KEYS


def _change_moment(node: Node) -> Node:
    plain, name = split(node)
    kind = _MOMENTS[node["type"]]

    def write(value: object, handler: Callable[[object], object]) -> object:
        if isinstance(value, kind) and is_beyond_pydantic(value):
            return write_moment(value)
        return handler(value)

    def read(text: str) -> object:
        return read_moment(kind, text)

    # Pydantic does not read such texts, so the constraints of the type are checked on the value read here.
    tagged: Node = {"type": "chain", "steps": [after(read, {"type": "str", "pattern": BEYOND_PYDANTIC}), plain]}
    return first_of(after(fixed_offset, plain), tagged, error=f"{node['type']}_type") | name | writes(write, plain)


def _change_float(node: Node) -> Node:
    plain, name = split(node)
    if set(plain) <= {"type", "metadata"}:
        return FLOAT | name

    def keep(value: object, handler: Callable[[object], object]) -> object:
        read = handler(value)
        return value if type(value) is int else read

    # Constraints of a float are not always ones of an int.
    kept: Node = {"type": "function-wrap", "function": {"type": "no-info", "function": keep}, "schema": plain}
    return {"type": "lax-or-strict", "lax_schema": plain, "strict_schema": kept} | name | writes(_as_number, plain)


def _as_number(value: object, handler: Callable[[object], object]) -> object:
    return value if type(value) is int else handler(value)


def _change_enum(node: Node) -> Node:
    """Members of flags are written as numbers, of enums with other values than text and numbers by their names."""
    plain, name = split(node)
    kind: type[enum.Enum] = node["cls"]

    def member(value: object) -> enum.Enum:
        if not isinstance(value, kind):
            raise PydanticSerializationUnexpectedValue(f"not a {kind.__name__}")
        return value

    if issubclass(kind, enum.Flag):
        return first_of(after(kind, {"type": "int"}), plain) | name | writes(lambda it: member(it).value)
    if not _is_written_by_name(kind):
        return node
    names: Node = {"type": "literal", "expected": list(kind.__members__)}
    by_name = first_of(after(kind.__members__.__getitem__, names), plain)
    return by_name | name | writes(lambda it: member(it).name)


def _change_literal(node: Node) -> Node:
    """Members of enums in a `Literal` are written as they are elsewhere."""
    plain, name = split(node)
    members = [one for one in node["expected"] if isinstance(one, enum.Enum)]
    # Pydantic itself reads those whose value is text.
    if all(type(one.value) is str for one in members):
        return node
    texts = [one.name if _is_written_by_name(type(one)) else one.value for one in members]
    others = [one for one in node["expected"] if not isinstance(one, enum.Enum)]

    def read(text: object) -> object:
        return next(one for one, its in zip(members, texts, strict=True) if type(its) is type(text) and its == text)

    def write(value: object) -> object:
        for one, text in zip(members, texts, strict=True):
            if value is one:
                return text
        if not isinstance(value, enum.Enum) and value in others:
            return value
        raise PydanticSerializationUnexpectedValue("not in the Literal")

    return first_of(after(read, {"type": "literal", "expected": texts}), plain) | name | writes(write)


def _is_written_by_name(kind: type[enum.Enum]) -> bool:
    return not issubclass(kind, enum.Flag) and any(type(member.value) not in (str, int) for member in kind)


def _is_written_as_text(kind: type[enum.Enum]) -> bool:
    return _is_written_by_name(kind) or all(type(member.value) is str for member in kind)


def _stored_field(field: Node) -> Node:
    """A field of a dataclass as it is written: always, also where `__init__` does not take it."""
    if field.get("init", True):
        return field
    schema = field["schema"]
    always = {key: value for key, value in field.items() if key != "init"}
    return always | {"schema": schema["schema"] if schema["type"] == "default" else schema}


def _post_init(names: list[str]) -> Callable[[Any], Any]:
    def run(value: Any) -> Any:
        before = {name: getattr(value, name) for name in names if hasattr(value, name)}
        value.__post_init__()
        for name, one in before.items():
            object.__setattr__(value, name, one)
        return value

    return run


def _json_key(key: Node) -> Node:
    def write(value: object, handler: Callable[[object], object]) -> str:
        written = handler(value)
        if isinstance(written, str) and not _is_json(written):
            return written
        return to_json(written).decode()

    return first_of({"type": "json", "schema": key}, key) | writes(write, key)


def _is_json(text: str) -> bool:
    try:
        from_json(text)
    except ValueError:
        return False
    return True


def _change_deque(node: Node) -> Node:
    """A deque with a bound is written as `{"maxlen": 3, "items": [...]}`."""
    plain, name = split(node)

    def write(value: object, handler: Callable[[object], object]) -> object:
        written = handler(value)
        if isinstance(value, collections.deque) and value.maxlen is not None:
            return {"maxlen": value.maxlen, "items": written}
        return written

    def read(found: dict[str, Any]) -> object:
        if found.keys() != {"maxlen", "items"}:
            raise ValueError("a deque is a list, or an object of `maxlen` and `items`")
        return collections.deque(found["items"], found["maxlen"])

    # Not a typed dictionary: pydantic would read its fields by another configuration.
    bounded: Node = {
        "type": "dict",
        "keys_schema": {"type": "str"},
        "values_schema": first_of({"type": "int", "ge": 0}, plain),
    }
    return first_of(plain, after(read, bounded)) | name | writes(write, plain)


_CHANGES: Final[dict[str, Callable[[Node], Node]]] = {
    "datetime": _change_moment,
    "time": _change_moment,
    "float": _change_float,
    "enum": _change_enum,
    "literal": _change_literal,
    "deque": _change_deque,
}
