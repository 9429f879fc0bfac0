"""Values as JSON: results of steps and workflows, written and read back by their type hints.

Invariants: a value that is written has been read back once and came out the same, types included. So a reader's value
is known when it is written, and a value that would not survive is an error then, never later. Written text can be
stored by Postgres: no NUL, no NaN, no lone surrogate. Nothing is pickled.
"""

from __future__ import annotations

import enum
import inspect
import math
import os
import re
import types
import typing
from collections.abc import Callable, Iterator
from typing import ClassVar, Final

from pydantic_core import PydanticSerializationError, ValidationError, from_json, to_json

from ..errors import PerdureError, UsageError, ValueNotReadable, ValueNotStorable
from .adapters import Machinery, machinery
from .flaws import Flaw, a_kind, find_flaw, find_unwritable, locate, shorten
from .roundtrip import difference
from .type_hints import result_hint, says_nothing, spell, suggest
from .unset_fields import with_unset_fields

__all__ = ["MAX_VALUE_BYTES", "ValueCodec", "explain", "placed"]


_STORED_BYTES: Final = 60_000_000
"""More than this the store does not take: it counts in its own way, and up to 64 MiB."""


def _max_value_bytes(text: str | None) -> int:
    if text is None:
        return 1 << 20
    if not re.fullmatch(r"[1-9][0-9]{0,7}", text) or int(text) > _STORED_BYTES:
        raise UsageError(
            f"PERDURE_MAX_VALUE_BYTES={text!r}: the most bytes that a value may have, such as 1048576, and no more than"
            f" {_STORED_BYTES}"
        )
    return int(text)


MAX_VALUE_BYTES: Final = _max_value_bytes(os.environ.get("PERDURE_MAX_VALUE_BYTES"))
"""Longest JSON text of a value, in bytes of UTF-8."""

_PLAIN = frozenset({types.NoneType, bool, int, float, str})
"""Types with a JSON form of their own."""

_SHORT_INT: Final = 1 << 1024
"""Integers below are written by Python itself; above, `sys.set_int_max_str_digits` may forbid it."""

_OF_MEMBERS = "; annotate its fields and members with the types that they have"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ERRORS_SHOWN = 3


class ValueCodec:
    """Writes and reads the values of one hint. Hints are resolved at first use, never before."""

    __slots__ = ("_fast", "_hint", "_made", "_owner", "_read", "_resolve", "_root", "_write")

    max_bytes: ClassVar[int] = MAX_VALUE_BYTES

    def __init__(self, resolve: Callable[[], object], owner: str, root: str = "result") -> None:
        """`resolve` gives the hint; `owner` and `root` name the value in messages: `step 'charge': result.items[3]`."""
        self._resolve = resolve
        self._owner = owner
        self._root = root
        self._fast: frozenset[type] | None = None

    @classmethod
    def for_result(cls, function: Callable[..., object], owner: str) -> ValueCodec:
        """For what `function` returns, or what awaiting that gives; plain JSON where nothing is annotated."""
        return cls(lambda: result_hint(function, owner), owner)

    @classmethod
    def for_hint(cls, hint: object, owner: str) -> ValueCodec:
        """For values of the type `hint`."""
        return cls(lambda: hint, owner)

    def prepare(self) -> None:
        """Resolve the hint now.

        Raises:
            DefinitionError: it cannot be evaluated, or is none that values can be read by.
        """
        if self._fast is None:
            self._build()

    def encode(self, value: object) -> tuple[str, object]:
        """JSON text of a value, and the value as readers get it: a fresh copy, or itself if it is immutable.

        Raises:
            ValueNotStorable: it would not survive; the message explains where, why and what to do.
            DefinitionError: the hint is none that values can be read by.
        """
        kind = type(value)
        if kind in (self._fast if self._fast is not None else self._build()):
            if value is None:
                return "null", None
            if isinstance(value, bool):
                return ("true" if value else "false"), value
            if isinstance(value, int) and -_SHORT_INT < value < _SHORT_INT:
                return int.__repr__(value), value
            if isinstance(value, float) and math.isfinite(value):
                return float.__repr__(value), value
            if isinstance(value, str) and "\x00" not in value:
                data = self._dump(value)
                self._check_size(data)
                return data.decode(), value
        return self._encode_checked(value)

    def decode(self, text: str | bytes) -> object:
        """Read a value.

        Raises:
            ValueNotReadable: it does not fit the hint; the message names both types and the remedy.
            DefinitionError: the hint is none that values can be read by.
        """
        if self._fast is None:
            self._build()
        try:
            return self._load(text)
        except Exception as error:
            raise ValueNotReadable(
                f"{self._owner}: the stored value cannot be read as {spell(self._hint)}: {self.explain(error, text)};"
                " the stored value is "
                + shorten(text, 200)
                + ". If the type changed since it was written, let it accept"
                " the old form too (a union, a default), or start a new run"
            ) from error

    @property
    def has_own_code(self) -> bool:
        """Whether code of the user's may take part in reading: validators, defaults."""
        if self._fast is None:
            self._build()
        return self._made is not None and not self._made.is_plain

    def read(self, text: str | bytes, *, lax: bool = False) -> object:
        """Read a value, leaving pydantic's errors to the caller; `lax` also takes what people write: aliases, `"12"`.

        Raises:
            ValidationError: it does not fit the hint.
            DefinitionError: the hint is none that values can be read by.
        """
        if self._fast is None:
            self._build()
        if lax and self._read is not None:
            return self._read(text, by_alias=True, by_name=True)
        return self._load(text)

    def explain(self, error: Exception, text: str | bytes) -> str:
        """Explain why a text could not be read."""
        try:
            found = from_json(text, allow_inf_nan=False)
        except ValueError as broken:
            return f"it is no JSON ({broken})"
        return explain(error, found, self._root)

    def _build(self) -> frozenset[type]:
        hint = self._resolve()
        self._hint = hint
        self._made: Machinery | None = None
        self._read = None
        self._write: Callable[..., bytes] = to_json
        if not says_nothing(hint):
            self._made = machinery(hint, self._owner)
            self._read = self._made.read
            self._write = self._made.write
        # Last: other threads take it as the sign that the rest is there.
        self._fast = _plain_members(hint)
        return self._fast

    def _dump(self, value: object) -> bytes:
        try:
            if self._read is None:
                return self._write(value)
            return self._write(value, by_alias=False, round_trip=True, warnings=False)
        except Exception as error:
            reason = str(error).removeprefix("Error serializing to JSON: ")
            flaw = find_flaw(value)
            if flaw is None and isinstance(error, PydanticSerializationError):
                flaw = find_unwritable(value, reason)
            flaw = flaw or Flaw(f"cannot be written as JSON: {reason}", [])
            raise self._refusal(flaw, value) from error

    def _load(self, text: str | bytes) -> object:
        if self._read is None:
            return from_json(text, allow_inf_nan=False)
        try:
            return self._read(text, strict=True, by_alias=False, by_name=True)
        except ValidationError:
            # Types with serializers of their own may need pydantic's conversions; a converted value must be written
            # as it was found, so that "3" does not become 3.
            value = self._read(text, by_alias=False, by_name=True)
            if self._write(value, by_alias=False, round_trip=True, warnings=False) != (
                text.encode() if isinstance(text, str) else text
            ):
                raise
            return value

    def _encode_checked(self, value: object) -> tuple[str, object]:
        data = self._dump(value)
        self._check_size(data)
        if b"\\u0000" in data and _NUL.search(data):
            flaw = find_flaw(value) or Flaw("has a NUL character (U+0000), which Postgres cannot store in text", [])
            raise self._refusal(flaw, value)
        try:
            copy = self._load(data)
            doubts: list[object] = []
            flaw_found = difference(value, copy, doubts)
            if flaw_found is not None and flaw_found.unset:
                data = with_unset_fields(value, data)
                self._check_size(data)
                copy, doubts = self._load(data), []
                flaw_found = difference(value, copy, doubts)
            if doubts and flaw_found is None:
                flaw_found = self._resolve_doubts(doubts, value, copy)
        except RecursionError as error:
            raise self._refusal(Flaw("is nested too deep for the stack that is left", []), value) from error
        except ValueNotStorable:
            raise
        except Exception as error:
            if hidden := find_flaw(value):
                raise self._refusal(hidden, value) from error
            raise self._unfit(error, value) from error
        if flaw_found is not None:
            raise self._refusal(find_flaw(value) or flaw_found, value)
        # A custom serializer can smuggle these in; Postgres would refuse them.
        if (b"NaN" in data or b"Infinity" in data) and not _is_standard(data):
            raise self._refusal(Flaw("is written with NaN or Infinity, which JSON does not have", []), value)
        return data.decode(), copy

    def _resolve_doubts(self, doubts: list[object], value: object, copy: object) -> Flaw | None:
        members = [one for one in doubts if isinstance(one, enum.Enum)]
        if members and (self._made is None or not self._made.promises(value, members)):
            plain = "an int" if isinstance(members[0], int) else "a str"
            why = f"is {a_kind(type(members[0]))}, and would be read back as {plain}"
            return find_flaw(value, lambda one: why if one is members[0] else None) or Flaw(why, [])
        strangers = [one for one in doubts if not isinstance(one, enum.Enum)]
        if strangers and self._dump(copy) != self._dump(value):
            return Flaw(f"has {spell(type(strangers[0]))} in it, which would not be read back as it was written", [])
        return None

    def _check_size(self, data: bytes) -> None:
        if len(data) > self.max_bytes:
            raise ValueNotStorable(
                f"{self._owner}: {self._root or 'the input'} has {len(data):,} bytes as JSON, {self.max_bytes:,} are"
                " the most; store big data elsewhere (an object store, a table, a file) and pass a reference to it"
                " (PERDURE_MAX_VALUE_BYTES changes the limit)"
            )

    def _refusal(self, flaw: Flaw, value: object) -> ValueNotStorable:
        advice = flaw.advice or (self._advice(value) or _OF_MEMBERS if "read back" in flaw.why else "")
        if inspect.iscoroutine(value):
            value.close()
            advice = "; await it in an `async def` (a lambda cannot), or pass the async function itself"
        place = placed(self._root, str(flaw)) or "the input"
        return ValueNotStorable(f"{self._owner}: {place} {flaw.why}{advice}")

    def _unfit(self, error: Exception, value: object) -> ValueNotStorable:
        said = explain(error, value, self._root)
        return ValueNotStorable(
            f"{self._owner}: a value of type {spell(type(value))} would not be read back as {spell(self._hint)}, which"
            f" the annotation says: {said}{self._advice(value)}"
        )

    def _advice(self, value: object) -> str:
        if not self._root:
            return "; annotate the argument with the type that its value has"
        hint, better = spell(self._hint), suggest(value)
        if isinstance(value, Iterator):
            return "; return a list of what it yields"
        if self._read is None:
            return f"; annotate the type, for example `-> {better}`" if _could_be(value) else ""
        if typing.get_origin(self._hint) in (typing.Union, types.UnionType) and type(value) in typing.get_args(
            self._hint
        ):
            return (
                f"; members of {hint} look alike in JSON: tell classes apart by a field such as `kind: Literal['...']`"
                " in each, and wrap other types in such a class"
            )
        if better == hint or not _could_be(value):
            return ""
        return f"; annotate `-> {better}`, or return what `-> {hint}` promises"


def _could_be(value: object) -> bool:
    """Whether a value would survive under its own type: advice that leads to the next error is none."""
    kind = type(value)
    if kind in (tuple, list, set, frozenset, dict, object):
        return kind is not object
    try:
        ValueCodec.for_hint(kind, "").encode(value)
    except PerdureError:
        return False
    return True


def explain(error: Exception, found: object, root: str) -> str:
    """Pydantic's complaints about a value, each with its place and the part found there."""
    if not isinstance(error, ValidationError):
        return f"{type(error).__name__}: {error}"
    said: dict[str, None] = {}
    for one in error.errors(include_url=False, include_context=False, include_input=False):
        place, there = locate(found, one["loc"])
        missing = one["type"] in ("missing", "missing_argument")
        if missing and one["loc"]:
            place = f"{place}.{one['loc'][-1]}"
        seen = "" if missing else f" (found {shorten(there)})"
        said[f"{placed(root, place) or 'the input'}: {one['msg']}{seen}"] = None
    more = f"; and {len(said) - _ERRORS_SHOWN} more" if len(said) > _ERRORS_SHOWN else ""
    return "; ".join(list(said)[:_ERRORS_SHOWN]) + more


def placed(root: str, place: str) -> str:
    """A place below the root, which for input is no value of its own: `['amount'].unit` is `amount.unit`."""
    return root + place if root else re.sub(r"^\['(\w+)'\]", r"\1", place)


def _plain_members(hint: object) -> frozenset[type]:
    """Exact types that survive under the hint as they are."""
    if says_nothing(hint):
        return _PLAIN
    if hint is None:
        return frozenset({types.NoneType})
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [_plain_members(member) for member in typing.get_args(hint)]
        # A member that is not plain, such as a date, may claim the text for itself.
        return frozenset().union(*members) if all(members) else frozenset()
    if hint is float:
        return frozenset({float, int})
    return frozenset({hint}) if isinstance(hint, type) and hint in _PLAIN else frozenset()


def _is_standard(data: bytes) -> bool:
    try:
        from_json(data, allow_inf_nan=False)
    except ValueError:
        return False
    return True
