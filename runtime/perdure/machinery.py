"""What reads and writes the values of a hint: pydantic's validators and serializers.

For plain types they are made from pydantic's core directly. The rest of pydantic takes longer to import than all of
Perdure, and a process whose values are plain starts without it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic_core import SchemaSerializer, SchemaValidator

from .errors import DefinitionError
from .hints import says_nothing, spell

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

__all__ = ["Arguments", "Machinery", "machinery"]

_CONFIG: Any = {"ser_json_bytes": "base64", "val_json_bytes": "base64"}
"""Bytes are any bytes. Holds for everything but pydantic models, which have a configuration of their own."""

_SCALARS = {bool: "bool", int: "int", float: "float", str: "str", types.NoneType: "none", None: "none"}


@dataclass(frozen=True, slots=True)
class Machinery:
    """`read` takes JSON text and raises pydantic's `ValidationError`; `write` gives JSON bytes."""

    read: Callable[..., object]
    write: Callable[..., bytes]


@dataclass(frozen=True, slots=True)
class Arguments:
    """The hint of a function's arguments by name; `extras` is that of further ones, where the function takes any."""

    fields: Mapping[str, object]
    takes_more: bool = False
    extras: object = None


def machinery(hint: object, owner: str) -> Machinery:
    """What reads and writes values of this hint.

    Raises:
        DefinitionError: there is no such thing for the hint.
    """
    plain = _plain(hint)
    if plain is not None:
        schema = typing.cast("CoreSchema", plain)
        return Machinery(SchemaValidator(schema).validate_json, SchemaSerializer(schema).to_json)
    return _of_pydantic(hint, owner)


def _of_pydantic(hint: object, owner: str) -> Machinery:
    from pydantic import GetPydanticSchema, TypeAdapter
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    # Through the hook, because a TypeAdapter of a dataclass or TypedDict itself takes no configuration.
    def schema(_source: object, handler: Any) -> CoreSchema:
        make = handler.generate_schema
        return typing.cast("CoreSchema", _arguments(hint, make) if isinstance(hint, Arguments) else make(hint))

    try:
        adapter = TypeAdapter[object](Annotated[Any, GetPydanticSchema(schema)], config=_CONFIG)
        adapter.rebuild(raise_errors=True)
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError, NameError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise DefinitionError(
            f"{owner}: values of type {spell(hint)} cannot be read from JSON ({reason}); use a dataclass,"
            " a pydantic model, or one of the standard types that pydantic knows"
        ) from error
    return Machinery(adapter.validator.validate_json, adapter.serializer.to_json)


def _arguments(hint: Arguments, make: Callable[[object], Any]) -> dict[str, Any]:
    fields = {
        name: {"type": "typed-dict-field", "schema": make(one), "required": False} for name, one in hint.fields.items()
    }
    if not hint.takes_more:
        return {"type": "typed-dict", "fields": fields, "extra_behavior": "forbid"}
    return {"type": "typed-dict", "fields": fields, "extra_behavior": "allow", "extras_schema": make(hint.extras)}


class _NotPlainError(Exception):
    pass


def _plain(hint: object) -> dict[str, Any] | None:
    """Pydantic's core schema of a hint of plain types; None for any other."""
    try:
        return _arguments(hint, _schema) if isinstance(hint, Arguments) else _schema(hint)
    except _NotPlainError:
        return None


def _schema(hint: object) -> dict[str, Any]:
    if says_nothing(hint):
        return {"type": "any"}
    if (hint is None or isinstance(hint, type)) and hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if types.NoneType in members and len(members) == 2:
            [inner] = [_schema(member) for member in members if member is not types.NoneType]
            return {"type": "nullable", "schema": inner}
        return {"type": "union", "choices": [_schema(member) for member in members]}
    if origin is list:
        return {"type": "list", "items_schema": _schema(members[0])}
    if origin is dict and members[0] is str:
        return {"type": "dict", "keys_schema": {"type": "str"}, "values_schema": _schema(members[1])}
    raise _NotPlainError
