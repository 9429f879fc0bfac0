"""What reads and writes the values of a hint: pydantic's validators and serializers.

For plain types they are made from pydantic's core directly. The rest of pydantic takes longer to import than all of
Perdure, and a process whose values are plain starts without it.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic_core import SchemaSerializer, SchemaValidator, from_json, to_json

from ..errors import DefinitionError
from .exact_schema import FLOAT, exact
from .flaws import find_flaw
from .schema_walk import Node, after, rewrite, writes
from .type_hints import says_nothing, spell
from .unset_fields import reading_unset_fields

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

__all__ = ["Arguments", "Machinery", "machinery"]

_CONFIG: Any = {"ser_json_bytes": "base64", "val_json_bytes": "base64"}
"""Bytes are any bytes. Holds for everything but pydantic models, which have a configuration of their own."""

_SCALARS: dict[object, dict[str, Any]] = {
    bool: {"type": "bool"},
    int: {"type": "int"},
    float: FLOAT,
    str: {"type": "str"},
    types.NoneType: {"type": "none"},
    None: {"type": "none"},
}


@dataclass(frozen=True, slots=True)
class Machinery:
    """`read` takes JSON text and raises pydantic's `ValidationError`; `write` gives JSON bytes by `schema`."""

    read: Callable[..., object]
    write: Callable[..., bytes]
    schema: CoreSchema
    is_plain: bool = False
    """Whether no code of the user's takes part."""

    def promises(self, value: object, members: Sequence[object]) -> bool:
        """Whether the hint names a type, not `Any`, for each place of the value that holds one of `members`."""
        untyped: list[object] = []

        def note(one: object) -> object:
            untyped.append(one)
            return one

        def watch(node: dict[str, Any], _original: dict[str, Any]) -> dict[str, Any]:
            if node["type"] != "any" or "serialization" in node:
                return node
            return {**node, "serialization": {"type": "function-plain", "function": note}}

        SchemaSerializer(rewrite(self.schema, watch), _CONFIG, _use_prebuilt=False).to_json(value, warnings=False)
        return find_flaw(untyped, lambda one: "untyped" if any(one is member for member in members) else None) is None


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
        return Machinery(SchemaValidator(schema).validate_json, SchemaSerializer(schema).to_json, schema, is_plain=True)
    return _of_pydantic(hint, owner)


def _of_pydantic(hint: object, owner: str) -> Machinery:
    from pydantic import GetPydanticSchema
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

    # Through the hook, because a TypeAdapter of a dataclass or TypedDict itself takes no configuration.
    def schema(_source: object, handler: Any) -> CoreSchema:
        make = handler.generate_schema
        return typing.cast("CoreSchema", _arguments(hint, make) if isinstance(hint, Arguments) else make(hint))

    try:
        made = exact(_core_schema(Annotated[Any, GetPydanticSchema(schema)]), _field)
    except (PydanticUserError, PydanticUndefinedAnnotation, TypeError, NameError) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise DefinitionError(
            f"{owner}: values of type {spell(hint)} cannot be read from JSON ({reason}); use a dataclass,"
            " a pydantic model, or one of the standard types that pydantic knows"
        ) from error
    return _machinery(made)


def _machinery(schema: CoreSchema) -> Machinery:
    # Model classes bring the schema that they were built with, which lacks the changes.
    return Machinery(
        SchemaValidator(reading_unset_fields(schema), _CONFIG, _use_prebuilt=False).validate_json,
        SchemaSerializer(schema, _CONFIG, _use_prebuilt=False).to_json,
        schema,
    )


def _field(owner: type, name: str) -> Node | None:
    """The schema of a field that neither `__init__` nor a default fills, which pydantic leaves out.

    It is a world of its own, since definitions that it would share are finished by now.
    """
    try:
        made = _core_schema(typing.get_type_hints(owner, include_extras=True)[name])
    except Exception:  # noqa: BLE001 - no type that can be written: what `__post_init__` makes is compared
        return None
    built = functools.cache(lambda: _machinery(exact(made, _field)))

    def read(found: object) -> object:
        return built().read(to_json(found), strict=True, by_alias=False, by_name=True)

    def write(value: object) -> object:
        return from_json(built().write(value, by_alias=False, round_trip=True, warnings=False))

    return after(read, {"type": "any"}) | writes(write)


def _core_schema(annotated: Any) -> CoreSchema:
    from pydantic import TypeAdapter

    while True:
        try:
            with _typed_dicts_of_typing():
                adapter: TypeAdapter[object] = TypeAdapter(annotated, config=_CONFIG)
                adapter.rebuild(raise_errors=True)
        except AttributeError as error:
            if error.name != "__orig_bases__" or not isinstance(error.obj, type):
                raise
            # A TypedDict of Python 3.11. Pydantic looks for validators in bases, and its bases have none.
            error.obj.__orig_bases__ = (dict,)  # type: ignore[attr-defined]
        else:
            return adapter.core_schema


_typed_dicts_lock: Final = threading.Lock()


@contextlib.contextmanager
def _typed_dicts_of_typing() -> Iterator[None]:
    """Let pydantic take `typing.TypedDict` before Python 3.12, too.

    It refuses them for want of `__orig_bases__`, which it needs for validators in them only. This changes a private
    flag of pydantic meanwhile; without that flag, such classes are refused as before.
    """
    if sys.version_info >= (3, 12):
        yield
        return
    from pydantic._internal import _generate_schema

    with _typed_dicts_lock:
        before = getattr(_generate_schema, "_SUPPORTS_TYPEDDICT", None)
        if before is not None:
            _generate_schema._SUPPORTS_TYPEDDICT = True  # noqa: SLF001 - it has no other switch
        try:
            yield
        finally:
            if before is not None:
                _generate_schema._SUPPORTS_TYPEDDICT = before  # noqa: SLF001


def _arguments(hint: Arguments, make: Callable[[object], Any]) -> dict[str, Any]:
    fields = {
        name: {"type": "typed-dict-field", "schema": make(one), "required": False} for name, one in hint.fields.items()
    }
    # Typed dictionaries do not take over the configuration that surrounds them.
    read: dict[str, Any] = {"type": "typed-dict", "fields": fields, "config": _CONFIG}
    if not hint.takes_more:
        return read | {"extra_behavior": "forbid"}
    return read | {"extra_behavior": "allow", "extras_schema": make(hint.extras)}


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
        return _SCALARS[hint]
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
