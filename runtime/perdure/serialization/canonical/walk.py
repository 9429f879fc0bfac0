"""The canonical form of a value: a text that equal values have in common, in every process and Python version.

Values that differ by `==` or by type have different texts. Sets and dicts have no order in it (an `OrderedDict` has);
fields that have their default are left out, so that a new one changes nothing. An object that is not a value (a client,
a lock, a function) counts by the name of its class. No `hash`, `id`, `repr` or `__eq__` of user code takes part.

Work is bounded: beyond 4,000 containers or 100 levels, the rest counts by its number; of bytes
longer than 16 MiB the two ends count. The text of a long container is replaced by its hash.
"""

from __future__ import annotations

import array
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Final
from weakref import WeakKeyDictionary

from .text import LONG_TEXT, SCALARS, bytes_text, class_name, scalar_text, short_hash

__all__ = ["Walk"]

_STR: Final = frozenset({str})
_CONTAINERS: Final = 4_000
_LEVELS: Final = 100
_UNORDERED: Final = 100_000
"""Members of a set, or keys of a dict, that are written one by one; of more, the number counts."""

_Writer = Callable[["Walk", Any], str]


class Walk:
    """One walk through a value. `mutable` is set where it met something that could be changed in place."""

    __slots__ = ("_left", "_path", "mutable")

    def __init__(self, containers: int = _CONTAINERS) -> None:
        self._left = containers
        self._path: set[int] = set()
        self.mutable = False

    def text(self, value: object) -> str:
        """The canonical form of a value.

        Raises:
            RecursionError: the stack that is left does not do.
        """
        kind = type(value)
        if kind in SCALARS:
            return scalar_text(value)
        writer = _BY_TYPE.get(kind)
        if writer is not None:
            return _shortened(writer(self, value))
        try:
            writer = _found.get(kind)
            if writer is None:
                writer = _found[kind] = _writer_of(kind)
            return _shortened(writer(self, value))
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - code of the value's class
            return f"<{class_name(kind)}>"

    def members(self, value: list[Any] | tuple[Any, ...]) -> str:
        """The text of an exact list or tuple."""
        if SCALARS.issuperset(map(type, value)):
            self.spend()
            try:
                return ascii(value)
            except ValueError:  # an integer longer than `sys.set_int_max_str_digits` allows
                pass
        if not self.enter(value):
            return self.cut(value)
        written = []
        for member in value:
            if self._left < 0:
                written.append(f"...{len(value)}")
                break
            written.append(self.text(member))
        self.leave(value)
        text = ", ".join(written)
        return f"[{text}]" if type(value) is list else f"({text},)"

    def unordered(self, value: Iterable[Any], size: int) -> str:
        """The text of a set's members."""
        if size > _UNORDERED:
            return f"{{...{size}}}"
        value = list(value)
        if _STR.issuperset(map(type, value)):
            return f"{{{sorted(value)!a}}}"
        return "{" + ", ".join(sorted(map(_alone, value))) + "}"

    def pairs(self, value: object, items: Iterable[tuple[Any, Any]], size: int, *, ordered: bool = False) -> str:
        """The text of a mapping's items."""
        if size > _UNORDERED or not self.enter(value):
            return self.cut(value, size)
        found = [(_alone(key), member) for key, member in items]
        if not ordered:
            found.sort(key=_first)
        written = []
        for key, member in found:
            if self._left < 0:
                written.append(f"...{size}")
                break
            written.append(f"{key}: {self.text(member)}")
        self.leave(value)
        return f"{{{', '.join(written)}}}"

    def fields(self, value: object, name: str, fields: Iterable[tuple[str, Any]]) -> str:
        """The text of an object with named fields."""
        if not self.enter(value):
            return self.cut(value, 0)
        text = ", ".join([f"{field}={self.text(one)}" for field, one in sorted(fields, key=_first)])
        self.leave(value)
        return f"{name}({text})"

    def enter(self, value: object) -> bool:
        """Whether to look into a container: not into one that this walk is in already, and not for ever."""
        self._left -= 1
        if self._left < 0 or len(self._path) >= _LEVELS or id(value) in self._path:
            return False
        self._path.add(id(value))
        return True

    def spend(self) -> None:
        """A container has been written without `enter`."""
        self._left -= 1

    def leave(self, value: object) -> None:
        """The container has been written."""
        self._path.discard(id(value))

    @staticmethod
    def cut(value: Any, size: int | None = None) -> str:
        """The text of a container whose members are not read."""
        return f"<{class_name(type(value))} ...{len(value) if size is None else size}>"


def _first(pair: tuple[str, Any]) -> str:
    return pair[0]


def _alone(value: object) -> str:
    """The text of a key or of a set's member: with a bound of its own, as their order must not matter."""
    return scalar_text(value) if type(value) in SCALARS else Walk(100).text(value)


def _shortened(text: str) -> str:
    # All of it is ASCII but names of classes and fields.
    return text if len(text) <= LONG_TEXT else f"#{short_hash(text.encode())}"


# Writers of exact types.


def _list(walk: Walk, value: list[Any]) -> str:
    walk.mutable = True
    return walk.members(value)


def _dict(walk: Walk, value: dict[Any, Any]) -> str:
    walk.mutable = True
    if _STR.issuperset(map(type, value)) and SCALARS.issuperset(map(type, value.values())):
        walk.spend()
        try:
            return f"{{{sorted(value.items())!a}}}"
        except ValueError:  # as in `members`
            pass
    return walk.pairs(value, value.items(), len(value))


def _set(walk: Walk, value: set[Any]) -> str:
    walk.mutable = True
    return "set" + walk.unordered(value, len(value))


def _frozenset(walk: Walk, value: frozenset[Any]) -> str:
    return "frozenset" + walk.unordered(value, len(value))


def _bytearray(walk: Walk, value: bytearray) -> str:
    walk.mutable = True
    return "bytearray" + bytes_text(value)


def _array(walk: Walk, value: array.array[Any]) -> str:
    walk.mutable = True
    return f"array({value.typecode}, {bytes_text(value)})"


def _ordered_dict(walk: Walk, value: OrderedDict[Any, Any]) -> str:
    walk.mutable = True
    return "OrderedDict" + walk.pairs(value, OrderedDict.items(value), len(value), ordered=True)


_BY_TYPE: Final[dict[type, _Writer]] = {
    list: _list,
    tuple: Walk.members,
    dict: _dict,
    set: _set,
    frozenset: _frozenset,
    bytes: lambda _walk, value: bytes_text(value),
    bytearray: _bytearray,
    array.array: _array,
    OrderedDict: _ordered_dict,
}

_found: WeakKeyDictionary[type, _Writer] = WeakKeyDictionary()
"""Writers of the classes that were met."""


def _writer_of(kind: type) -> _Writer:
    # Which loads modules that a process with plain values does without.
    from .classes import writer_of

    return writer_of(kind)
