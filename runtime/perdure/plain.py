"""Plain data of exceptions as JSON: what their `args` and attributes hold, with a mark where JSON has no such type.

JSON's own types stand for themselves; other plain types become `{"$": type, "v": ...}`. Whatever is not plain data has
no form here, and is left out by the caller. Written text can always be stored: no NUL, no NaN, no lone surrogate.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
import types
import typing
import uuid
from collections.abc import Callable
from typing import Final

from .errors import ValueNotStorable
from .types_by_name import find_type, type_name

__all__ = ["from_plain", "to_plain"]

_MAX_DEPTH: Final = 50
_MARK: Final = "$"
_SAFE_INT: Final = 1 << 1024


def to_plain(value: object, depth: int = 0) -> object:
    """The JSON-able form of plain data.

    Raises:
        ValueNotStorable: it is no plain data, or nested too deep.
    """
    if depth > _MAX_DEPTH:
        raise ValueNotStorable(f"nested deeper than {_MAX_DEPTH} levels")
    if isinstance(value, enum.Enum) and value.name in type(value).__members__:
        return _marked("enum", [type_name(type(value)), value.name])
    # Exact types only: a subclass would come back as its base.
    write = _WRITERS.get(type(value))
    if write is None:
        raise ValueNotStorable(f"{type(value).__name__} is no plain data")
    return write(value, depth)


def from_plain(value: object) -> object:
    """What `to_plain` wrote.

    Raises:
        ValueError: it did not write this, or an enum's type is not to be found here.
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


def _write_text(value: str, _depth: int) -> object:
    return value if _storable(value) else _marked("text", _base64(value.encode("utf-8", "surrogatepass")))


def _write_int(value: int, _depth: int) -> object:
    return value if -_SAFE_INT < value < _SAFE_INT else _marked("int", hex(value))


def _write_float(value: float, _depth: int) -> object:
    return value if math.isfinite(value) else _marked("float", repr(value))


def _write_members(value: list[object], depth: int) -> object:
    members = [to_plain(member, depth + 1) for member in value]
    kind = type(value)
    return members if kind is list else _marked(kind.__name__, members)


def _write_dict(value: dict[object, object], depth: int) -> object:
    if _MARK not in value and all(type(key) is str and _storable(key) for key in value):
        return {key: to_plain(member, depth + 1) for key, member in value.items()}
    return _marked("dict", [[to_plain(key, depth + 1), to_plain(member, depth + 1)] for key, member in value.items()])


def _read_enum(content: list[str]) -> object:
    name, member = content
    kind = find_type(name)
    if kind is None or not issubclass(kind, enum.Enum) or member not in kind.__members__:
        raise ValueError(f"no enum member {name}.{member} here")
    return kind.__members__[member]


_SPELLED: dict[type, tuple[str, Callable[[str], object]]] = {
    decimal.Decimal: ("decimal", decimal.Decimal),
    uuid.UUID: ("uuid", uuid.UUID),
    datetime.datetime: ("datetime", datetime.datetime.fromisoformat),
    datetime.date: ("date", datetime.date.fromisoformat),
}
"""Types that `str` writes and a function reads."""


def _write_spelled(value: object, _depth: int) -> object:
    return _marked(_SPELLED[type(value)][0], str(value))


_WRITERS: dict[type, Callable[[typing.Any, int], object]] = {
    types.NoneType: lambda value, _depth: value,
    bool: lambda value, _depth: value,
    str: _write_text,
    int: _write_int,
    float: _write_float,
    bytes: lambda value, _depth: _marked("bytes", _base64(value)),
    dict: _write_dict,
    **dict.fromkeys((list, tuple, set, frozenset), _write_members),
    **dict.fromkeys(_SPELLED, _write_spelled),
}

_READERS: dict[object, Callable[[typing.Any], object]] = {
    "enum": _read_enum,
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


def _storable(text: str) -> bool:
    if text.isascii():
        return "\x00" not in text
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
