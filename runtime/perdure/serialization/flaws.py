"""What in a value no JSON in Postgres can hold, and where: the places that messages name."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import math
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from .type_hints import spell

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "MAX_DEPTH",
    "MAX_DIGITS",
    "Flaw",
    "a_kind",
    "convert",
    "find_flaw",
    "find_unwritable",
    "is_data",
    "is_model",
    "is_model_type",
    "locate",
    "shorten",
]

MAX_DEPTH = 200
"""Levels of arrays and objects in one value: what pydantic's JSON reader takes."""

MAX_DIGITS = 4300
"""Most digits of an integer that pydantic's JSON reader takes, independent of `sys.set_int_max_str_digits`."""

_FIRST_TOO_BIG: typing.Final = 10**MAX_DIGITS

_BYTES_ADVICE: typing.Final = (
    "; a pydantic model with bytes needs `model_config = ConfigDict(ser_json_bytes='base64', val_json_bytes='base64')`"
)

_CONTAINERS = (list, tuple, dict, set, frozenset, collections.deque)


@dataclass(slots=True)
class Flaw:
    """Why a value does not survive; `place` leads to it, outermost part last: `.when`, `[3]`, `['key']`.

    `advice` is the remedy, where the flaw itself names one; `unset`: a model's unset fields would be lost.
    """

    why: str
    place: list[str]
    advice: str = ""
    unset: bool = False

    def __str__(self) -> str:
        return "".join(reversed(self.place))


def shorten(value: object, most: int = 60) -> str:
    """`repr` of a value, cut to `most` characters; never raises for an object with a broken `__repr__`."""
    try:
        # A slice first: the whole repr of a big value would cost more than the message is worth.
        text = repr(value[: most + 1]) if isinstance(value, str | bytes) else repr(value)
    except Exception:  # noqa: BLE001 - the object's own code
        text = f"<{type(value).__name__}>"
    return text if len(text) <= most else text[: most - 3] + "..."


def is_model_type(kind: type) -> TypeGuard[type[BaseModel]]:
    """Whether it is a class of pydantic models."""
    return _is_model_type(kind)


@functools.lru_cache(maxsize=1024)
def _is_model_type(kind: type) -> bool:
    # Where nothing has imported pydantic's models, nothing is one.
    main = sys.modules.get("pydantic.main")
    return main is not None and issubclass(kind, main.BaseModel)


def is_model(value: object) -> TypeGuard[BaseModel]:
    """Whether it is a pydantic model."""
    return is_model_type(type(value))


def a_kind(kind: type) -> str:
    """A type with its article: `an int`, `a numpy.float64`."""
    name = "object" if kind is object else spell(kind)
    if _of_numpy(kind):
        name = f"numpy.{name}"
    return name if kind in (types.NoneType, bytes) else f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def _of_numpy(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "numpy"


def convert(value: object) -> str:
    """How to make plain data of an object that is none, as advice; empty if there is no known way."""
    if not _of_numpy(type(value)):
        return ""
    if getattr(value, "ndim", None) != 0:
        return "; return what its `.tolist()` gives"
    plain = spell(type(typing.cast("Any", value).item()))
    return f"; return `{plain}(...)` of it, or what its `.item()` gives"


def find_flaw(value: object, why: Callable[[object], str | None] | None = None) -> Flaw | None:
    """The first thing in a value that no JSON in Postgres can hold, or of which `why` gives a reason.

    Works on any value, cyclic ones too: it looks no deeper than `MAX_DEPTH`.
    """
    why = why or _flaw_of
    stack = [_Node(value, "", None, 0)]
    while stack:
        node = stack.pop()
        if node.depth >= MAX_DEPTH and _nests(node.value):
            return _too_deep(node)
        if reason := why(node.value):
            return Flaw(reason, [at.part for at in node.line()], convert(node.value))
        children = [_Node(child, part, node, node.depth + 1) for part, child in _parts(node.value)]
        stack.extend(reversed(children))
    return None


def find_unwritable(value: object, reason: str) -> Flaw | None:
    """The part of a value for which pydantic refused to write it, with this reason."""
    if "utf-8" in reason or "UTF-8" in reason:
        return find_flaw(value, _flaw_of_bytes)

    def named(one: object) -> str | None:
        return f"is {a_kind(type(one))}, which has no JSON form" if repr(type(one)) in reason else None

    def unknown(one: object) -> str | None:
        return None if is_data(one) else f"is {a_kind(type(one))}, which has no JSON form"

    return find_flaw(value, named) or find_flaw(value, unknown)


def _flaw_of_bytes(value: object) -> str | None:
    if isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError:
            return f"cannot be written as JSON: {shorten(value)} is no text in utf-8{_BYTES_ADVICE}"
    return None


@dataclass(slots=True, eq=False)
class _Node:
    value: object
    part: str
    parent: _Node | None
    depth: int

    def line(self) -> Iterator[_Node]:
        """This node, its parent, and so on to the root."""
        node: _Node | None = self
        while node is not None:
            yield node
            node = node.parent


def _too_deep(node: _Node) -> Flaw:
    outermost: dict[int, _Node] = {}
    repeated: _Node | None = None
    for at in reversed(list(node.line())):
        repeated = repeated or outermost.get(id(at.value))
        outermost.setdefault(id(at.value), at)
    if repeated:
        why = "contains itself; JSON has no references, so store an id instead"
        return Flaw(why, [at.part for at in repeated.line()])
    return Flaw(f"is nested deeper than {MAX_DEPTH} levels; store it flat, for example as a list with parent ids", [])


def _flaw_of(value: object) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {float(value)}, which JSON does not have; use None or text for it"
    if isinstance(value, str):
        if "\x00" in value:
            return (
                f"has a NUL character (U+0000) at index {value.index(chr(0))}, which Postgres cannot store in text;"
                " remove it, or use bytes"
            )
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return (
                f"has a lone surrogate ({value[error.start]!r}) at index {error.start}, which is no Unicode text;"
                " decode the bytes it came from without errors='surrogateescape', or use bytes"
            )
    if isinstance(value, int) and not -_FIRST_TOO_BIG < value < _FIRST_TOO_BIG:
        return f"is an integer of more than {MAX_DIGITS} digits; use text"
    return None


def _parts(value: object) -> Iterator[tuple[str, object]]:
    """The members of a value, each with its part of a place."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield f".keys[{shorten(key)}]", key
            yield f"[{shorten(key)}]", member
    elif is_model(value):
        yield from ((f".{name}", member) for name, member in value.__dict__.items())
        yield from ((f".{name}", member) for name, member in (value.__pydantic_extra__ or {}).items())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value))
        yield from ((f".{name}", getattr(value, name)) for name in fields if hasattr(value, name))
    elif isinstance(value, list | tuple | collections.deque):
        names = getattr(value, "_fields", None)
        for index, member in enumerate(value):
            yield f".{names[index]}" if names else f"[{index}]", member
    elif isinstance(value, set | frozenset):
        yield from ((f"{{{shorten(member)}}}", member) for member in value)


def _nests(value: object) -> bool:
    return (
        isinstance(value, _CONTAINERS)
        or is_model(value)
        or (dataclasses.is_dataclass(value) and not isinstance(value, type))
    )


def is_data(value: object) -> bool:
    """Whether it is data by its type, not an object such as a lock or a client."""
    known = (
        str,
        bytes,
        int,
        float,
        decimal.Decimal,
        enum.Enum,
        uuid.UUID,
        datetime.date,
        datetime.time,
        datetime.timedelta,
    )
    return value is None or _nests(value) or isinstance(value, known)


def locate(value: object, location: Sequence[int | str]) -> tuple[str, object]:
    """Follow pydantic's location of an error in a value: the place as text, and the part found there.

    Parts that lead nowhere in the value are the names of a union's members, and are left out.
    """
    place = ""
    for part in location:
        if isinstance(value, Mapping) and part in value:
            value, place = value[part], f"{place}[{part!r}]"
        elif isinstance(part, int) and isinstance(value, Sequence) and part < len(value):
            value, place = value[part], f"{place}[{part}]"
        elif isinstance(part, str) and part in getattr(value, "__dict__", {}):
            value, place = value.__dict__[part], f"{place}.{part}"
    return place, value
