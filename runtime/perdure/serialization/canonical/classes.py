"""How the canonical form writes the instances of a class: found out once for each class.

Values are what results of steps can be: records (dataclasses, pydantic models, named tuples), enums, exceptions, the
standard library's values, numpy's, and what derives from them. Records are read past properties and `__getattribute__`;
of any other class the instances count by its name.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import ipaddress
import os
import pathlib
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ..failures.exception_state import peek
from .text import SCALARS, bytes_text, class_name

__all__ = ["Walker", "Writer", "writer_of"]


class Walker(Protocol):
    """The walk through a value, as the writer of an instance uses it (`walk.Walk`)."""

    mutable: bool

    def text(self, value: object) -> str:
        """The canonical form of a value."""
        ...

    def members(self, value: list[Any] | tuple[Any, ...]) -> str:
        """The text of an exact list or tuple."""
        ...

    def unordered(self, value: Iterable[Any], size: int) -> str:
        """The text of a set's members."""
        ...

    def pairs(self, value: object, items: Iterable[tuple[Any, Any]], size: int, *, ordered: bool = False) -> str:
        """The text of a mapping's items."""
        ...

    def fields(self, value: object, name: str, fields: Iterable[tuple[str, Any]]) -> str:
        """The text of an object with named fields."""
        ...


Writer = Callable[[Walker, Any], str]

_EMPTY = (list, dict, set, tuple, frozenset)
"""Default factories whose values are known."""


def writer_of(kind: type) -> Writer:
    """What writes instances of exactly this class."""
    name = class_name(kind)
    for found in (_record, _numpy, _derived, _standard):
        if (writer := found(kind, name)) is not None:
            return writer
    return lambda _walk, _value: f"<{name}>"


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """A field of a record; `slot` reads it where it is not in the instance's `__dict__`."""

    name: str
    default: object
    factory: object
    slot: Any

    def omitted(self, value: object) -> bool:
        """Whether the value is the field's default."""
        if value is self.default or (self.factory in _EMPTY and type(value) is self.factory and not value):
            return True
        return type(value) in SCALARS and type(value) is type(self.default) and value == self.default


def _record(kind: type, name: str) -> Writer | None:
    if "__dataclass_fields__" in _all_names(kind):
        frozen = kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
        made = [
            _Field(f.name, f.default, f.default_factory, _slot(kind, f.name))
            for f in dataclasses.fields(kind)
            if f.compare
        ]
        return _fields_writer(name, made, frozen=frozen)
    if (fields := _pydantic_fields(kind)) is not None:
        frozen = bool(kind.model_config.get("frozen"))  # type: ignore[attr-defined]
        return _fields_writer(
            name,
            [_Field(field, info.default, info.default_factory, None) for field, info in fields.items()],
            frozen=frozen,
            extras=_slot(kind, "__pydantic_extra__"),
        )
    if issubclass(kind, tuple) and isinstance(members := getattr(kind, "_fields", None), tuple):
        defaults = getattr(kind, "_field_defaults", {})
        plan = [_Field(one, defaults.get(one, dataclasses.MISSING), None, None) for one in members]
        return lambda walk, value: walk.fields(
            value,
            name,
            [(f.name, one) for f, one in zip(plan, tuple.__iter__(value), strict=False) if not f.omitted(one)],
        )
    return None


def _pydantic_fields(kind: type) -> dict[str, Any] | None:
    names = _all_names(kind)
    if "__pydantic_validator__" not in names or "model_config" not in names:
        return None
    fields: dict[str, Any] | None = getattr(kind, "__pydantic_fields__", None)
    return fields


def _fields_writer(name: str, fields: list[_Field], *, frozen: bool, extras: Any = None) -> Writer:
    def read(value: object) -> Iterator[tuple[str, object]]:
        stored = _dict_of(value)
        for field in fields:
            if field.name in stored:
                one = stored[field.name]
            elif field.slot is not None:
                try:
                    one = field.slot.__get__(value)
                except AttributeError:  # not assigned
                    continue
            else:
                continue
            if not field.omitted(one):
                yield field.name, one
        if extras is not None and (more := extras.__get__(value)):
            yield from more.items()

    def write(walk: Walker, value: object) -> str:
        if "_sa_instance_state" in _dict_of(value):
            # An object of SQLAlchemy's loads and forgets its attributes as it pleases.
            return f"<{name}>"
        walk.mutable = walk.mutable or not frozen
        return walk.fields(value, name, read(value))

    return write


def _dict_of(value: object) -> dict[str, object]:
    try:
        stored: dict[str, object] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return stored


def _all_names(kind: type) -> set[str]:
    return {name for base in kind.__mro__ for name in base.__dict__}


def _slot(kind: type, name: str) -> Any:
    for base in kind.__mro__:
        found = base.__dict__.get(name)
        if isinstance(found, types.MemberDescriptorType):
            return found
    return None


def _numpy(kind: type, name: str) -> Writer | None:
    bases = {base.__name__ for base in kind.__mro__ if base.__module__ == "numpy"}
    if not bases & {"generic", "ndarray"}:
        return None
    changeable = "ndarray" in bases

    def write(walk: Walker, value: Any) -> str:
        walk.mutable = walk.mutable or changeable
        if value.dtype.hasobject:
            return f"<{name} {value.shape}>"
        data = value if changeable and value.flags.c_contiguous else value.tobytes()
        return f"{name}({value.dtype.str}, {value.shape}, {bytes_text(data)})"

    return write


def _derived(kind: type, name: str) -> Writer | None:
    """Enums, exceptions, and classes that derive from the built-in ones: read by the methods of those."""
    if issubclass(kind, enum.Enum):
        return lambda walk, value: f"{name}({walk.text(value._value_)})"
    if issubclass(kind, BaseException):
        return lambda walk, value: f"{name}{walk.text(peek(value, 'args'))}"
    for base, write in _BUILT_IN:
        if issubclass(kind, base):
            return _prefixed(name, write)
    return None


def _prefixed(name: str, write: Writer) -> Writer:
    return lambda walk, value: name + write(walk, value)


def _changing(write: Writer) -> Writer:
    def changing(walk: Walker, value: object) -> str:
        walk.mutable = True
        return write(walk, value)

    return changing


_BUILT_IN: tuple[tuple[type, Writer], ...] = (
    (int, lambda walk, value: f"({walk.text(int.__add__(value, 0))})"),
    (float, lambda _walk, value: f"({float.__repr__(value)})"),
    (str, lambda walk, value: f"({walk.text(str.__str__(value))})"),
    (bytes, lambda _walk, value: bytes_text(value)),
    (bytearray, _changing(lambda _walk, value: bytes_text(value))),
    (tuple, lambda walk, value: walk.members(tuple(tuple.__iter__(value)))),
    (list, _changing(lambda walk, value: walk.members(list(list.__iter__(value))))),
    (collections.deque, _changing(lambda walk, value: walk.members(list(collections.deque.__iter__(value))))),
    (
        collections.OrderedDict,
        _changing(
            lambda walk, value: walk.pairs(
                value, collections.OrderedDict.items(value), dict.__len__(value), ordered=True
            )
        ),
    ),
    (dict, _changing(lambda walk, value: walk.pairs(value, dict.items(value), dict.__len__(value)))),
    (types.MappingProxyType, lambda walk, value: walk.text(dict(value))),
    (set, _changing(lambda walk, value: walk.unordered(set.__iter__(value), set.__len__(value)))),
    (frozenset, lambda walk, value: walk.unordered(frozenset.__iter__(value), frozenset.__len__(value))),
)


_STANDARD: tuple[tuple[type, Writer], ...] = (
    # Each by the methods of the class that is named here. A datetime is a date, too.
    (datetime.datetime, lambda _walk, value: datetime.datetime.isoformat(value)),
    (datetime.date, lambda _walk, value: datetime.date.isoformat(value)),
    (datetime.time, lambda _walk, value: datetime.time.isoformat(value)),
    (datetime.timedelta, lambda _walk, value: f"{value.days} {value.seconds} {value.microseconds}"),
    (datetime.timezone, lambda _walk, value: str(value.utcoffset(None))),
    (zoneinfo.ZoneInfo, lambda _walk, value: str(value.key)),
    (decimal.Decimal, lambda _walk, value: ascii(tuple(decimal.Decimal.as_tuple(value)))),
    (fractions.Fraction, lambda _walk, value: f"{value.numerator} {value.denominator}"),
    (complex, lambda _walk, value: complex.__repr__(value)),
    (uuid.UUID, lambda _walk, value: f"{value.int:032x}"),
    (pathlib.PurePath, lambda walk, value: walk.text(os.fspath(value))),
    (range, lambda walk, value: walk.text((value.start, value.stop, value.step))),
    (slice, lambda walk, value: walk.text((value.start, value.stop, value.step))),
    (types.EllipsisType, lambda _walk, _value: ""),
    (re.Pattern, lambda walk, value: walk.text((value.pattern, value.flags))),
    (ipaddress.IPv4Address, lambda _walk, value: f"{int(value)}"),
    (ipaddress.IPv6Address, lambda _walk, value: str(value)),
    (ipaddress.IPv4Network, lambda _walk, value: str(value)),
    (ipaddress.IPv6Network, lambda _walk, value: str(value)),
)


def _standard(kind: type, name: str) -> Writer | None:
    """The standard library's values, and pydantic's own."""
    for base, write in _STANDARD:
        if issubclass(kind, base):
            label = "Path" if base is pathlib.PurePath else name
            return _labelled(label, write)
    if kind.__module__.startswith("pydantic"):
        if any(base.__name__ in ("_BaseUrl", "_BaseMultiHostUrl", "Url", "MultiHostUrl") for base in kind.__mro__):
            return lambda walk, value: f"{name}({walk.text(str(value))})"
        if any(base.__name__ == "_SecretBase" for base in kind.__mro__):
            return lambda walk, value: f"{name}({walk.text(value.get_secret_value())})"
    return None


def _labelled(label: str, write: Writer) -> Writer:
    return lambda walk, value: f"{label}({write(walk, value)})"
