"""Fields of pydantic models that were not set (`model_fields_set`), kept in JSON as `"$unset": ["age"]`.

A model that was given all its fields is written without this. Pydantic itself writes no such thing, so it is added to
pydantic's JSON, by walking the value and its JSON side by side.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json, to_json

from .flaws import is_model
from .schema_walk import Node, after, first_of, rewrite, split

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["reading_unset_fields", "unset_fields", "with_unset_fields"]

_KEY: Final = "$unset"
"""The key in a model's object; no field has this name, since it is not an identifier."""

_LISTS: Final = (list, tuple, set, frozenset, collections.deque)
"""Types that are written as arrays."""

_FIELD: Final[Node] = {
    "type": "model-field",
    "schema": {"type": "default", "default": None, "schema": {"type": "list", "items_schema": {"type": "str"}}},
}
"""What reads the key: a field of the model, which `_take_unset` takes out of it again."""


def reading_unset_fields(schema: Any) -> Any:
    """The schema that reads the key in objects of models. Only to read by: it would want to write the key, too."""
    return rewrite(schema, _change)


def _change(node: Node, _original: Node) -> Node:
    if node["type"] == "model-fields":
        return {**node, "fields": {**node["fields"], _KEY: _FIELD}}
    if node["type"] != "model" or node.get("root_model"):
        return node
    plain, name = split(node)
    stored = after(_take_unset, {**plain, "custom_init": False})
    if not plain.get("custom_init"):
        return stored | name
    # People's input goes through `__init__`; a stored value has been through it.
    return {"type": "lax-or-strict", "lax_schema": plain, "strict_schema": first_of(stored, plain)} | name


def _take_unset(model: BaseModel) -> BaseModel:
    unset = model.__dict__.pop(_KEY, None)
    model.__pydantic_fields_set__.difference_update((_KEY,), unset or ())
    return model


def unset_fields(model: BaseModel) -> list[str]:
    """The fields that have their defaults because they were not set."""
    given = model.__pydantic_fields_set__
    return [name for name in type(model).__pydantic_fields__ if name not in given]


def with_unset_fields(value: object, data: bytes) -> bytes:
    """The JSON of a value, with the unset fields of each model in it."""
    written = from_json(data)
    _mark(value, written)
    return to_json(written)


def _mark(value: object, written: object) -> None:
    if is_model(value) and isinstance(written, dict) and (unset := unset_fields(value)):
        written[_KEY] = unset
    for member, one in _members(value, written):
        if isinstance(one, dict | list):
            _mark(member, one)


def _members(value: object, written: object) -> Iterable[tuple[object, object]]:
    """The members of a value, with their JSON; nothing where a serializer of the user wrote a form of its own."""
    if is_model(value) or dataclasses.is_dataclass(value):
        if not isinstance(written, dict):
            return [(root, written)] if (root := getattr(value, "root", None)) is not None else []
        return [(getattr(value, name, None), one) for name, one in written.items() if name != _KEY]
    if isinstance(value, collections.deque) and isinstance(written, dict):
        written = written.get("items")
    if isinstance(value, dict) and isinstance(written, dict) and len(value) == len(written):
        return zip(value.values(), written.values(), strict=True)
    if isinstance(value, _LISTS) and isinstance(written, list) and len(value) == len(written):
        return zip(value, written, strict=True)
    return []
