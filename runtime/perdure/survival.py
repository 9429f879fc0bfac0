"""Whether a value survived being written and read back, and if not, where in it and why.

Equality alone is too weak a witness: `1 == True`, `(1,)` may come back as `[1]`, a subclass as its base. So the
comparison walks both values side by side and wants the same types all the way down. It never changes either.
"""

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
from typing import TYPE_CHECKING, TypeGuard

from .hints import spell

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["MAX_DEPTH", "MAX_DIGITS", "Flaw", "difference", "find_flaw", "locate", "shorten"]

MAX_DEPTH = 200
"""Levels of arrays and objects in one value: what pydantic's JSON reader takes."""

MAX_DIGITS = 4300
"""Digits of an integer: what pydantic's JSON reader takes, whatever `sys.set_int_max_str_digits` says."""

_FIRST_TOO_BIG: typing.Final = 10**MAX_DIGITS

_ATOMS = frozenset(
    {types.NoneType, bool, int, str, bytes, uuid.UUID, decimal.Decimal, datetime.date, datetime.timedelta}
)
"""Exact types whose equality is all there is to compare."""

_CONTAINERS = (list, tuple, dict, set, frozenset, collections.deque)


@dataclass(slots=True)
class Flaw:
    """Why a value does not survive; `place` leads to it, outermost part last: `.when`, `[3]`, `['key']`."""

    why: str
    place: list[str]

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


def difference(old: object, new: object, doubts: list[object]) -> Flaw | None:
    """The first place where `new`, read back, is not what `old` was; None where it is.

    Objects that cannot tell whether they are equal (no `__eq__`) are added to `doubts`, for the caller to compare what
    they are written as.
    """
    kind: type = type(old)
    if kind is not type(new):
        # A function annotated to give a float may give an int; every type checker agrees.
        if kind is int and type(new) is float and old == new:
            return None
        return Flaw(f"is {_a(kind)}, and would be read back as {_a(type(new))}", [])
    if kind in _ATOMS:
        return None if old == new else _changed(old, new)
    if kind is float:
        return None if old == new and math.isfinite(typing.cast("float", old)) else _changed(old, new)
    return _walk(kind)(old, new, doubts)


def _is_model_type(kind: type) -> TypeGuard[type[BaseModel]]:
    # Where nothing has imported pydantic's models, nothing is one.
    main = sys.modules.get("pydantic.main")
    return main is not None and issubclass(kind, main.BaseModel)


def _is_model(value: object) -> TypeGuard[BaseModel]:
    return _is_model_type(type(value))


_Walk = Callable[[typing.Any, typing.Any, list[object]], Flaw | None]


def _choose_walk(kind: type) -> _Walk:
    """How to compare two objects of this very type."""
    if issubclass(kind, enum.Enum):
        return _compare_equal
    if _is_model_type(kind):
        return functools.partial(_compare_model, tuple(kind.model_fields))
    if dataclasses.is_dataclass(kind):
        # What a class derives for itself and leaves out of its comparison (caches) is no part of its value.
        names = tuple(field.name for field in dataclasses.fields(kind) if field.init or field.compare)
        return functools.partial(_compare_fields, names)
    if issubclass(kind, tuple):
        return functools.partial(_compare_sequence, getattr(kind, "_fields", ()))
    if issubclass(kind, list | collections.deque):
        return functools.partial(_compare_sequence, ())
    if issubclass(kind, dict):
        return _compare_dict
    if issubclass(kind, set | frozenset):
        return _compare_set
    if issubclass(kind, datetime.datetime | datetime.time):
        return _compare_time
    return _compare_equal


_walk: Callable[[type], _Walk] = functools.lru_cache(maxsize=1024)(_choose_walk)


def _compare_sequence(
    names: tuple[str, ...], old: Sequence[object], new: Sequence[object], doubts: list[object]
) -> Flaw | None:
    if len(old) != len(new):
        return _changed(old, new)
    for index, (left, right) in enumerate(zip(old, new, strict=True)):
        kind = type(left)
        if kind is type(right) and kind in _ATOMS and left == right:
            continue
        if flaw := difference(left, right, doubts):
            flaw.place.append(f".{names[index]}" if names else f"[{index}]")
            return flaw
    return None


def _compare_dict(old: dict[object, object], new: dict[object, object], doubts: list[object]) -> Flaw | None:
    for (old_key, left), (new_key, right) in zip(old.items(), new.items(), strict=False):
        if (type(old_key) is not str or old_key != new_key) and difference(old_key, new_key, doubts):
            return Flaw(f"has the key {_kind_of(old_key)}, which would be read back as {_kind_of(new_key)}", [])
        kind = type(left)
        if kind is type(right) and kind in _ATOMS and left == right:
            continue
        if flaw := difference(left, right, doubts):
            flaw.place.append(f"[{shorten(old_key)}]")
            return flaw
    if len(old) != len(new):
        return Flaw(f"has {len(old)} keys, of which {len(new)} would be read back", [])
    return None


def _compare_set(old: set[object], new: set[object], doubts: list[object]) -> Flaw | None:
    if old != new:
        return _changed(old, new)
    partners = {member: member for member in new}
    for member in old:
        if flaw := difference(member, partners[member], doubts):
            flaw.place.append(f"{{{shorten(member)}}}")
            return flaw
    return None


def _compare_fields(names: tuple[str, ...], old: object, new: object, doubts: list[object]) -> Flaw | None:
    for name in names:
        left, right = getattr(old, name, _ABSENT), getattr(new, name, _ABSENT)
        kind = type(left)
        if kind is type(right) and kind in _ATOMS and left == right:
            continue
        if flaw := difference(left, right, doubts):
            flaw.place.append(f".{name}")
            return flaw
    return None


def _compare_model(names: tuple[str, ...], old: BaseModel, new: BaseModel, doubts: list[object]) -> Flaw | None:
    if flaw := _compare_fields(names, old, new, doubts):
        return flaw
    if old.__pydantic_extra__ and (flaw := difference(old.__pydantic_extra__, new.__pydantic_extra__, doubts)):
        return flaw
    if not old.__pydantic_private__:
        return None
    for name, left in old.__pydantic_private__.items():
        right = (new.__pydantic_private__ or {}).get(name, _ABSENT)
        # Private attributes are not written. Data in them would be lost; a lock or a client made anew is none.
        if type(left) is type(right) and type(left) not in _ATOMS and not isinstance(left, _CONTAINERS):
            continue
        if difference(left, right, doubts):
            return Flaw("is a private attribute, which is not written; make it a field", [f".{name}"])
    return None


def _compare_time(
    old: datetime.datetime | datetime.time, new: datetime.datetime | datetime.time, _doubts: list[object]
) -> Flaw | None:
    same = old == new and (old.tzinfo is None) == (new.tzinfo is None) and old.utcoffset() == new.utcoffset()
    return None if same else _changed(old, new)


def _compare_equal(old: object, new: object, doubts: list[object]) -> Flaw | None:
    try:
        if old is new or bool(old == new):
            return None
    except Exception:  # noqa: BLE001 - the object's own code; numpy's arrays, for one, have no truth value
        return Flaw(f"is {_a(type(old))}, which cannot be compared with what would be read back", [])
    if type(old).__eq__ is object.__eq__:
        doubts.append(new)
        return None
    return _changed(old, new)


class _Absent:
    """An attribute that is not there."""


_ABSENT: typing.Final = _Absent()


def _changed(old: object, new: object) -> Flaw:
    if isinstance(old, float) and not math.isfinite(old):
        return Flaw(f"is {old}, which JSON does not have; use None or text for it", [])
    return Flaw(f"would be read back as another {spell(type(old))}: {shorten(old)} as {shorten(new)}", [])


def _a(kind: type) -> str:
    name = "object" if kind is object else spell(kind)
    return name if kind in (types.NoneType, bytes) else f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def _kind_of(key: object) -> str:
    return f"{shorten(key)} ({spell(type(key))})"


def find_flaw(value: object, *, unknown: bool = False) -> Flaw | None:
    """The first thing in a value that no JSON in Postgres can hold; with `unknown`, also objects that are no data.

    Works on any value, cyclic ones too: it looks no deeper than `MAX_DEPTH`.
    """
    stack = [_Node(value, "", None, 0)]
    while stack:
        node = stack.pop()
        if node.depth >= MAX_DEPTH and _nests(node.value):
            return _too_deep(node)
        if why := _flaw_of(node.value):
            return Flaw(why, [at.part for at in node.line()])
        if unknown and not _nests(node.value) and _is_no_data(node.value):
            return Flaw(f"is {_a(type(node.value))}, which has no JSON form", [at.part for at in node.line()])
        children = [_Node(child, part, node, node.depth + 1) for part, child in _parts(node.value)]
        stack.extend(reversed(children))
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
    elif _is_model(value):
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
        or _is_model(value)
        or (dataclasses.is_dataclass(value) and not isinstance(value, type))
    )


def _is_no_data(value: object) -> bool:
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
    return value is not None and not isinstance(value, known)


def locate(value: object, location: Sequence[int | str]) -> tuple[str, object]:
    """Follow pydantic's location of an error in a value: the place as text, and what is there.

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
