"""Whether a value survived being written and read back, and if not, where in it and why.

Equality alone is too weak a witness: `1 == True`, `(1,)` may come back as `[1]`, a subclass as its base, a time as the
same instant in another zone. So the comparison walks both values side by side and wants, all the way down, the same
types, the same fields and members in the same order, and the same of what hides behind them: zones and folds, bounds
of deques, factories of defaultdicts, attributes that are no fields, a model's private attributes and unset fields. It
never changes either value.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import functools
import inspect
import math
import types
import typing
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence

from .flaws import Flaw, a_kind, convert, is_data, is_model_type, shorten
from .type_hints import spell
from .unset_fields import unset_fields
from .zones import zone_difference

if typing.TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["difference"]

_ATOMS = frozenset({types.NoneType, bool, int, str, bytes, uuid.UUID, datetime.date, datetime.timedelta})
"""Exact types whose equality is all there is to compare."""


def difference(old: object, new: object, doubts: list[object]) -> Flaw | None:
    """The first place where `new`, read back, is not what `old` was; None where it is.

    Two things cannot be decided from the values alone, and are added to `doubts` for the caller: objects of the new
    value without an equality (no `__eq__`), to be compared by their written form; and members of the old value's enums
    that came back as their text or number, which is right only where the hint has that type.
    """
    kind: type = type(old)
    if kind is not type(new):
        if isinstance(old, enum.Enum) and _is_its_value(old, new):
            doubts.append(old)
            return None
        if kind is int and type(new) is float and old == new:
            # Under `float` an int comes back as an int. Only in a field of a pydantic model, which promises a float and
            # did not validate this value, it becomes a float.
            return None
        return Flaw(f"is {a_kind(kind)}, and would be read back as {a_kind(type(new))}", [], convert(old))
    if kind in _ATOMS:
        return None if old == new else _changed(old, new)
    if kind is float:
        return _compare_float(typing.cast("float", old), typing.cast("float", new))
    return _walk(kind)(old, new, doubts)


def _is_its_value(old: enum.Enum, new: object) -> bool:
    """Whether a member of an `IntEnum` or `StrEnum` does what its value does: it is shown alike, too."""
    return type(new) in (int, str) and isinstance(old, type(new)) and old == new and str(old) == str(new)


_Walk = Callable[[typing.Any, typing.Any, list[object]], Flaw | None]


def _choose_walk(kind: type) -> _Walk:
    """How to compare two objects of this very type."""
    if issubclass(kind, enum.Enum):
        return _compare_identical
    if is_model_type(kind):
        return functools.partial(_compare_model, tuple(kind.model_fields))
    if dataclasses.is_dataclass(kind):
        fields = dataclasses.fields(kind)
        # A field that a class derives and leaves out of its comparison may be a lock or a client.
        caches = frozenset(field.name for field in fields if not field.init and not field.compare)
        return functools.partial(_compare_dataclass, tuple(field.name for field in fields), caches)
    walk = _choose_by_base(kind)
    # A user's class may hold more than its base does. Of other classes the equality is all that is known.
    return walk if walk is _compare_equal or kind.__module__ in ("builtins", "collections") else _with_attributes(walk)


def _choose_by_base(kind: type) -> _Walk:
    if issubclass(kind, tuple):
        return functools.partial(_compare_sequence, getattr(kind, "_fields", ()))
    if issubclass(kind, collections.deque):
        return _compare_deque
    if issubclass(kind, list):
        return functools.partial(_compare_sequence, ())
    if issubclass(kind, collections.defaultdict):
        return _compare_defaultdict
    if issubclass(kind, dict):
        return _compare_dict
    if issubclass(kind, set | frozenset):
        return _compare_set
    if issubclass(kind, datetime.datetime | datetime.time):
        return _compare_time
    if issubclass(kind, decimal.Decimal):
        return _compare_decimal
    return _compare_equal


_walk: Callable[[type], _Walk] = functools.lru_cache(maxsize=1024)(_choose_walk)


def _compare_float(old: float, new: float) -> Flaw | None:
    same = old == new and math.isfinite(old) and (old != 0.0 or math.copysign(1.0, old) == math.copysign(1.0, new))
    return None if same else _changed(old, new)


def _compare_decimal(old: decimal.Decimal, new: decimal.Decimal, _doubts: list[object]) -> Flaw | None:
    return None if old.as_tuple() == new.as_tuple() else _changed(old, new)


def _compare_sequence(
    names: tuple[str, ...], old: Sequence[typing.Any], new: Sequence[typing.Any], doubts: list[object]
) -> Flaw | None:
    if len(old) != len(new):
        return _changed(old, new)
    for index, (left, right) in enumerate(zip(old, new, strict=True)):
        kind = type(left)
        if kind is type(right) and (kind in _ATOMS or (kind is float and left - left == 0.0 != left)) and left == right:
            continue
        if flaw := difference(left, right, doubts):
            flaw.place.append(f".{names[index]}" if names else f"[{index}]")
            return flaw
    return None


def _compare_deque(old: collections.deque[object], new: collections.deque[object], doubts: list[object]) -> Flaw | None:
    if old.maxlen != new.maxlen:
        return Flaw(f"is a deque with maxlen={old.maxlen}, and would be read back with maxlen={new.maxlen}", [])
    return _compare_sequence((), old, new, doubts)


def _compare_dict(old: dict[object, typing.Any], new: dict[object, typing.Any], doubts: list[object]) -> Flaw | None:
    for (old_key, left), (new_key, right) in zip(old.items(), new.items(), strict=False):
        if (type(old_key) is not str or type(new_key) is not str or old_key != new_key) and (
            flaw := difference(old_key, new_key, doubts)
        ):
            if _is_reordered(old, new):
                return _compare_dict(old, {key: new[key] for key in old}, doubts)
            if flaw.unset:
                return Flaw(f"has the key {_kind_of(old_key)}, whose unset fields would be lost; set them all", [])
            why = f"has the key {_kind_of(old_key)}, which would be read back as {_kind_of(new_key)}"
            return Flaw(why, [], convert(old_key))
        kind = type(left)
        if kind is type(right) and (kind in _ATOMS or (kind is float and left - left == 0.0 != left)) and left == right:
            continue
        if flaw := difference(left, right, doubts):
            flaw.place.append(f"[{shorten(old_key)}]")
            return flaw
    if len(old) != len(new):
        return Flaw(f"has {len(old)} keys, of which {len(new)} would be read back", [])
    return None


def _is_reordered(old: dict[object, object], new: dict[object, object]) -> bool:
    """Whether it is a TypedDict, whose keys come back in the order of their declaration."""
    return type(old) is dict and old.keys() == new.keys() and all(type(key) is str for key in (*old, *new))


def _compare_defaultdict(
    old: collections.defaultdict[object, object], new: collections.defaultdict[object, object], doubts: list[object]
) -> Flaw | None:
    if old.default_factory is not new.default_factory:
        wrote, reads = (
            f"{one.__name__!s}" if isinstance(one, type) else shorten(one)
            for one in (old.default_factory, new.default_factory)
        )
        return Flaw(
            f"is a defaultdict of {wrote}, and would be read back as one of {reads}",
            [],
            "; its factory is read from the type of its values, `defaultdict[str, list[int]]`; for another one return"
            " `dict(...)` of it",
        )
    return _compare_dict(old, new, doubts)


def _compare_set(old: set[object], new: set[object], doubts: list[object]) -> Flaw | None:
    if old != new:
        return _changed(old, new)
    partners = {member: member for member in new}
    for member in old:
        if flaw := difference(member, partners[member], doubts):
            flaw.place.append(f"{{{shorten(member)}}}")
            return flaw
    return None


def _compare_dataclass(
    names: tuple[str, ...], caches: frozenset[str], old: object, new: object, doubts: list[object]
) -> Flaw | None:
    for name in names:
        left: typing.Any = getattr(old, name, _ABSENT)
        right: typing.Any = getattr(new, name, _ABSENT)
        kind = type(left)
        if kind is type(right) and (kind in _ATOMS or (kind is float and left - left == 0.0 != left)) and left == right:
            continue
        if name in caches and _is_no_state(left, right):
            continue
        if flaw := difference(left, right, doubts):
            flaw.place.append(f".{name}")
            return flaw
    return _compare_attributes(names, old, new)


def _compare_model(names: tuple[str, ...], old: BaseModel, new: BaseModel, doubts: list[object]) -> Flaw | None:
    for name in names:
        left: typing.Any = getattr(old, name, _ABSENT)
        right: typing.Any = getattr(new, name, _ABSENT)
        kind = type(left)
        if kind is type(right) and (kind in _ATOMS or (kind is float and left - left == 0.0 != left)) and left == right:
            continue
        if flaw := difference(left, right, doubts):
            flaw.place.append(f".{name}")
            return flaw
    if old.__pydantic_extra__ and (flaw := difference(old.__pydantic_extra__, new.__pydantic_extra__, doubts)):
        return flaw
    private, found = old.__pydantic_private__ or {}, new.__pydantic_private__ or {}
    for name, left in private.items():
        # Private attributes are not written.
        if not _is_same(left, found.get(name, _ABSENT)):
            return Flaw("is a private attribute, which is not written; make it a field", [f".{name}"])
    if flaw := _compare_attributes(names, old, new):
        return flaw
    if old.__pydantic_fields_set__ != new.__pydantic_fields_set__:
        unset = ", ".join(unset_fields(old)) or "none"
        return Flaw(f"has unset fields ({unset}), which would be lost; set them", [], unset=True)
    return None


def _with_attributes(walk: _Walk) -> _Walk:
    def compare(old: object, new: object, doubts: list[object]) -> Flaw | None:
        return walk(old, new, doubts) or _compare_attributes((), old, new)

    return compare


def _compare_attributes(fields: Collection[str], old: object, new: object) -> Flaw | None:
    """Attributes that are no fields: they are not written, so they must have come about again."""
    left, right = getattr(old, "__dict__", None), getattr(new, "__dict__", None)
    if left is None or right is None or (len(left) == len(fields) == len(right)):
        return None
    for name in _others(left, right, fields):
        if not _is_same(left.get(name, _ABSENT), right.get(name, _ABSENT)) and not isinstance(
            inspect.getattr_static(type(old), name, None), functools.cached_property
        ):
            return Flaw("is an attribute that is not a field, and is not written; make it a field", [f".{name}"])
    return None


def _others(left: Iterable[str], right: Iterable[str], fields: Collection[str]) -> Iterable[str]:
    return (name for name in dict.fromkeys((*left, *right)) if name not in fields)


def _is_same(left: object, right: object) -> bool:
    return _is_no_state(left, right) or difference(left, right, []) is None


def _is_no_state(left: object, right: object) -> bool:
    """A lock or a client that was made anew is the same; data are not."""
    return type(left) is type(right) and not is_data(left)


def _compare_time(
    old: datetime.datetime | datetime.time, new: datetime.datetime | datetime.time, _doubts: list[object]
) -> Flaw | None:
    if old.tzinfo is new.tzinfo and old == new and old.fold == new.fold:
        return None
    if why := zone_difference(old.tzinfo, new.tzinfo):
        return Flaw(why, [])
    same = old.replace(tzinfo=None) == new.replace(tzinfo=None) and old.fold == new.fold
    return None if same else _changed(old, new)


def _compare_identical(old: object, new: object, _doubts: list[object]) -> Flaw | None:
    # Flags make members for combinations on demand.
    return None if old is new or (isinstance(old, enum.Flag) and old == new) else _changed(old, new)


def _compare_equal(old: object, new: object, doubts: list[object]) -> Flaw | None:
    try:
        if old is new or bool(old == new):
            return None
    except Exception:  # noqa: BLE001 - the object's own code; numpy's arrays, for one, have no truth value
        return Flaw(f"is {a_kind(type(old))}, which cannot be compared with what would be read back", [], convert(old))
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


def _kind_of(key: object) -> str:
    return f"{shorten(key)} ({spell(type(key))})"
