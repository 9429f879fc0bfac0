"""Plain data of exceptions as JSON: their `args` and attributes, with a mark where JSON has no such type.

JSON's own types stand for themselves; other plain types become `{"$": type, "v": ...}`, and types that step
results can have (dataclasses, models, times, paths ...) are written as there, under the name of the class. Other values
have no form here, and the caller decides about them. Written text can always be stored: no NUL, no NaN, no
lone surrogate.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import functools
import json
import math
import types
import typing
import uuid
from collections.abc import Callable
from typing import Any, Final

from ...errors import ValueNotStorable
from ..class_names import find_type, type_name
from ..codec import ValueCodec
from ..storable_text import is_storable
from .not_kept import NotKept

__all__ = ["Writer", "from_plain", "to_plain"]

_MAX_DEPTH: Final = 50
_MARK: Final = "$"
_SAFE_INT: Final = 1 << 1024


class Writer:
    """Writes plain data.

    Args:
        error: writes an exception; None where it cannot.
    """

    __slots__ = ("_error",)

    def __init__(self, error: Callable[[BaseException], object] = lambda _: None) -> None:
        self._error = error

    def write(self, value: object, depth: int = 0) -> object:
        """The JSON-able form of plain data.

        Raises:
            ValueNotStorable: it is no plain data, or nested too deep.
        """
        if depth > _MAX_DEPTH:
            raise ValueNotStorable(f"nested deeper than {_MAX_DEPTH} levels")
        kind = type(value)
        # Exact types only: a subclass would come back as its base.
        write = _WRITERS.get(kind)
        if write is not None:
            return write(self, value, depth)
        if isinstance(value, datetime.datetime) and kind is datetime.datetime and _spelled_whole(value):
            return _marked("datetime", str(value))
        if issubclass(kind, enum.Enum):
            return _write_enum(typing.cast("enum.Enum", value))
        if issubclass(kind, BaseException):
            if (document := self._error(typing.cast("BaseException", value))) is None:
                raise ValueNotStorable("an exception too many, or one that has itself in it")
            return _marked("error", document)
        if issubclass(kind, type):
            return _marked("class", _name_of(typing.cast("type", value)))
        if issubclass(kind, NotKept):
            return _marked("not kept", typing.cast("NotKept", value).content)
        if kind in _ALIASES:
            return _marked("alias", [self.write(typing.get_origin(value)), self.write(typing.get_args(value))])
        return _write_typed(value)


def to_plain(value: object) -> object:
    """The JSON-able form of plain data that has no exceptions in it.

    Raises:
        ValueNotStorable: it is no plain data, or nested too deep.
    """
    return Writer().write(value)


def from_plain(value: object) -> object:
    """The value of a written form.

    Raises:
        Exception: this module did not write it, or a class in it is missing, or does not accept it any more.
    """
    if isinstance(value, list):
        return [from_plain(member) for member in value]
    if not isinstance(value, dict):
        return value
    if _MARK not in value:
        return {key: from_plain(member) for key, member in value.items()}
    read = _READERS.get(value[_MARK])
    if read is None:
        raise ValueError(f"unknown mark {value[_MARK]!r}")
    return read(value["v"])


def _write_text(_writer: Writer, value: str, _depth: int) -> object:
    return value if is_storable(value) else _marked("text", _base64(value.encode("utf-8", "surrogatepass")))


def _write_int(_writer: Writer, value: int, _depth: int) -> object:
    return value if -_SAFE_INT < value < _SAFE_INT else _marked("int", hex(value))


def _write_float(_writer: Writer, value: float, _depth: int) -> object:
    return value if math.isfinite(value) else _marked("float", repr(value))


def _write_members(writer: Writer, value: list[object], depth: int) -> object:
    members = [writer.write(member, depth + 1) for member in value]
    kind = type(value)
    return members if kind is list else _marked(kind.__name__, members)


def _write_dict(writer: Writer, value: dict[object, object], depth: int) -> object:
    if _MARK not in value and all(type(key) is str and is_storable(key) for key in value):
        return {key: writer.write(member, depth + 1) for key, member in value.items()}
    below = depth + 1
    return _marked("dict", [[writer.write(key, below), writer.write(member, below)] for key, member in value.items()])


def _write_enum(value: enum.Enum) -> object:
    name = _name_of(type(value))
    if value.name in type(value).__members__:
        return _marked("enum", [name, value.name])
    if isinstance(value, enum.Flag) and type(value.value) is int:
        return _marked("flags", [name, value.value])
    raise ValueNotStorable(f"{value!r} is no member of {name}")


def _read_enum(content: list[str]) -> object:
    name, member = content
    kind = _class(name)
    if not issubclass(kind, enum.Enum) or member not in kind.__members__:
        raise ValueError(f"no enum member {name}.{member} here")
    return kind.__members__[member]


def _read_flags(content: list[Any]) -> object:
    name, value = content
    kind = _class(name)
    if not issubclass(kind, enum.Flag):
        raise ValueError(f"{name} has no flags here")  # noqa: TRY004 - as for every text that cannot be read
    return kind(value)


def _name_of(kind: type) -> str:
    """The name by which a class is found again."""
    name = type_name(kind)
    if find_type(name) is not kind:
        raise ValueNotStorable(f"{name} is not found by its name")
    return name


def _class(name: str) -> type:
    kind = find_type(name)
    if kind is None:
        raise ValueError(f"there is no class {name} here")
    return kind


def _write_typed(value: object) -> object:
    """As the result of a step is written: it is known then that it is read back as it was."""
    name = _name_of(type(value))
    try:
        text, copy = _codec(typing.cast("Any", type(value))).encode(value)
    except Exception as error:
        raise ValueNotStorable(f"{name} is no plain data") from error
    # Times with names for their zones are equal without them.
    if isinstance(value, datetime.datetime | datetime.time) and repr(copy) != repr(value):
        raise ValueNotStorable(f"{name} is no plain data")
    return _marked("value", [name, json.loads(text)])


def _read_typed(content: list[Any]) -> object:
    name, document = content
    return _codec(typing.cast("Any", _class(name))).decode(json.dumps(document))


@functools.lru_cache(maxsize=256)
def _codec(kind: Any) -> ValueCodec:
    return ValueCodec.for_hint(kind, f"an exception's {kind.__name__}")


def _read_alias(content: list[Any]) -> object:
    origin, members = map(from_plain, content)
    return typing.cast("Any", origin)[members]


def _read_error(content: dict[str, Any]) -> object:
    from .failure import Failure

    return Failure.of_document(content).revive()


_SPELLED: dict[type, tuple[str, Callable[[str], object]]] = {
    decimal.Decimal: ("decimal", decimal.Decimal),
    uuid.UUID: ("uuid", uuid.UUID),
    datetime.date: ("date", datetime.date.fromisoformat),
}
"""Types that `str` writes and a function reads."""


def _spelled_whole(moment: datetime.datetime) -> bool:
    """Whether its text is complete: it lacks a zone's name, and which of two equal hours is meant."""
    return repr(datetime.datetime.fromisoformat(str(moment))) == repr(moment)


def _write_spelled(_writer: Writer, value: object, _depth: int) -> object:
    return _marked(_SPELLED[type(value)][0], str(value))


_ALIASES = (types.GenericAlias, type(typing.List[int]))  # noqa: UP006 - another type than list[int]'s
"""Types of `Box[int]` and the like, which exceptions of generic classes know of themselves."""

_WRITERS: dict[type, Callable[[Writer, Any, int], object]] = {
    types.NoneType: lambda _writer, value, _depth: value,
    bool: lambda _writer, value, _depth: value,
    str: _write_text,
    int: _write_int,
    float: _write_float,
    bytes: lambda _writer, value, _depth: _marked("bytes", _base64(value)),
    dict: _write_dict,
    **dict.fromkeys((list, tuple, set, frozenset), _write_members),
    **dict.fromkeys(_SPELLED, _write_spelled),
}

_READERS: dict[object, Callable[[Any], object]] = {
    "alias": _read_alias,
    "class": _class,
    "enum": _read_enum,
    "error": _read_error,
    "flags": _read_flags,
    "not kept": NotKept.read,
    "datetime": datetime.datetime.fromisoformat,
    "value": _read_typed,
    "text": lambda content: base64.b64decode(content).decode("utf-8", "surrogatepass"),
    "bytes": base64.b64decode,
    "int": lambda content: int(content, 16),
    "float": float,
    "tuple": lambda content: tuple(map(from_plain, content)),
    "set": lambda content: set(map(from_plain, content)),
    "frozenset": lambda content: frozenset(map(from_plain, content)),
    "dict": lambda content: {from_plain(key): from_plain(member) for key, member in content},
    **dict(_SPELLED.values()),
}


def _marked(mark: str, content: object) -> dict[str, object]:
    return {_MARK: mark, "v": content}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
