"""Exceptions as data: recorded once, raised again on replay as the type they were.

An exception is rebuilt from its `args` and its plain attributes by the constructor of its built-in base; no `__init__`
of its own runs, and nothing is unpickled. What cannot be rebuilt exactly, so that its text is the recorded one, becomes
a `StepError` with all that was recorded. Recording never raises, and what it records can always be stored.
"""

from __future__ import annotations

import contextlib
import json
import re
import traceback
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from .anatomy import assemble, attributes_of, members_of, peek, put
from .errors import ControlSignal, StepError, ValueNotReadable, ValueNotStorable
from .plain import from_plain, to_plain
from .types_by_name import find_type, type_name

__all__ = ["Failure"]

MAX_TEXT: Final = 1 << 16
"""Longest message, traceback, note and list of arguments that are kept, in characters."""

MAX_CHAIN: Final = 20
"""Most exceptions in a chain of causes, and levels of exception groups."""

MAX_MEMBERS: Final = 200
"""Most exceptions that are recorded of one, its groups and causes included."""

MAX_BYTES: Final = 1 << 20
"""Longest JSON text of a failure; texts are cut shorter until it fits."""

_PACKAGE = str(Path(__file__).parent) + "/"
_RECORDED = "recorded traceback:\n"
_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception, as it is recorded."""

    type: str
    """`module:qualname` of its class."""

    message: str
    """What `str` gave; NUL and lone surrogates written as escapes, the middle cut out of long text."""

    traceback: str = ""
    """The frames of user code, formatted; empty for an exception that was never raised."""

    args: tuple[object, ...] | None = ()
    """Its `args` as plain JSON; None if they are more than plain data."""

    attributes: Mapping[str, object] = field(default_factory=dict)
    """Its attributes as plain JSON, as far as they are plain data."""

    cause: Failure | None = None
    """What it was raised from, or what was handled when it was raised."""

    suppress_context: bool = False
    """Raised `from` something: `cause` is its `__cause__`, else its `__context__`."""

    exceptions: tuple[Failure, ...] = ()
    """The members of an exception group."""

    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Record an exception. Never raises, whatever the exception does."""
        # A class can override all that an exception has; then what it is and what it says must do.
        with contextlib.suppress(Exception):
            for most in (MAX_TEXT, MAX_TEXT >> 4, MAX_TEXT >> 8):
                failure = _Recorder(most).record(error, ())
                if failure is not None and len(failure.to_json()) <= MAX_BYTES:
                    return failure
        return Failure(_name_of(error), _message_of(error, MAX_TEXT), args=None)

    def to_json(self) -> str:
        """JSON text; what is empty is left out."""
        return json.dumps(self._document(), separators=(",", ":"), allow_nan=False)

    def _document(self) -> dict[str, object]:
        document: dict[str, object] = {"type": self.type, "message": self.message}
        if self.traceback:
            document["traceback"] = self.traceback
        if self.args != ():
            document["args"] = None if self.args is None else list(self.args)
        if self.attributes:
            document["attributes"] = dict(self.attributes)
        if self.cause is not None:
            document["cause"] = self.cause._document()  # noqa: SLF001 - of this class
        if self.suppress_context:
            document["suppress_context"] = True
        if self.exceptions:
            document["exceptions"] = [member._document() for member in self.exceptions]  # noqa: SLF001 - of this class
        if self.notes:
            document["notes"] = list(self.notes)
        return document

    @classmethod
    def from_json(cls, text: str | bytes) -> Failure:
        """Read what `to_json` wrote; fields that a later version added are passed over.

        Raises:
            ValueNotReadable: it is no recorded error.
        """
        try:
            return cls._of_document(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueNotReadable(f"a recorded error cannot be read ({type(error).__name__}: {error})") from error

    @classmethod
    def _of_document(cls, document: Mapping[str, typing.Any]) -> Failure:
        args, cause = document.get("args", ()), document.get("cause")
        return cls(
            type=str(document["type"]),
            message=str(document["message"]),
            traceback=str(document.get("traceback", "")),
            args=None if args is None else tuple(args),
            attributes=dict(document.get("attributes", {})),
            cause=None if cause is None else cls._of_document(cause),
            suppress_context=bool(document.get("suppress_context", False)),
            exceptions=tuple(cls._of_document(member) for member in document.get("exceptions", ())),
            notes=tuple(str(note) for note in document.get("notes", ())),
        )

    def revive(self, live: BaseException | None = None) -> BaseException:
        """The exception to raise for this failure: the same on first execution, which has it as `live`, and on replay.

        It carries the traceback of `live`, or else the recorded one as a note.
        """
        members = () if live is None else members_of(live)
        if len(members) != len(self.exceptions):
            members = (None,) * len(self.exceptions)
        exceptions = [one.revive(alive) for one, alive in zip(self.exceptions, members, strict=True)]
        error = _rebuild(self, exceptions) or self._step_error()
        origin = "__cause__" if self.suppress_context else "__context__"
        if self.cause is not None:
            put(error, origin, self.cause.revive(None if live is None else peek(live, origin)))
        put(error, "__suppress_context__", self.suppress_context)
        notes = list(self.notes)
        if live is not None:
            put(error, "__traceback__", peek(live, "__traceback__"))
        elif self.traceback:
            notes.append(_RECORDED + self.traceback)
        if notes:
            peek(error, "__dict__")["__notes__"] = notes
        return error

    def _step_error(self) -> StepError:
        error = StepError(self.message, type=self.type, traceback=self.traceback)
        # For `of`: what is recorded of a StepError is what it stands for.
        error.__dict__["_failure"] = self
        return error


class _Recorder:
    """Records one exception with all that hangs on it, within limits."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._members = MAX_MEMBERS

    def record(self, error: BaseException, above: tuple[BaseException, ...]) -> Failure | None:
        """The failure of `error`, which `above` led to; None past the limits and for what was met before."""
        if len(above) >= MAX_CHAIN or self._members <= 0 or any(error is one for one in above):
            return None
        self._members -= 1
        above = (*above, error)
        explicit = peek(error, "__cause__")
        suppress = explicit is not None or peek(error, "__suppress_context__")
        behind = explicit if suppress else peek(error, "__context__")
        # Members before causes: they are what the exception is, causes are where it came from.
        members = [one for member in members_of(error) if (one := self.record(member, above))]
        cause = None if behind is None else self.record(behind, above)
        notes, recorded = self._notes(error)
        own = self._traceback(error)
        failure = self._stand_in(error) or self._bare(error)
        # A revived exception that was raised again has its first traceback in a note, or as a StepError in itself.
        before = recorded or failure.traceback
        dropped = failure.notes
        return replace(
            failure,
            traceback=self._cut("\n".join(part for part in (before, own) if part)),
            cause=cause,
            suppress_context=suppress,
            exceptions=tuple(members) or failure.exceptions,
            notes=(*notes, *(note for note in dropped if note not in notes)),
        )

    def _stand_in(self, error: BaseException) -> Failure | None:
        """What a StepError that `revive` made stands for."""
        if type(error) is not StepError:
            return None
        known = error.__dict__.get("_failure")
        return replace(known, notes=()) if isinstance(known, Failure) else None

    def _bare(self, error: BaseException) -> Failure:
        attributes, lost = self._attributes(error)
        note = f"attributes that are not recorded: {', '.join(lost)}" if lost else ""
        return Failure(
            type=_name_of(error),
            message=_message_of(error, self._most),
            args=self._args(error),
            attributes=attributes,
            notes=(_storable(note),) if note else (),
        )

    def _args(self, error: BaseException) -> tuple[object, ...] | None:
        args: tuple[object, ...] = peek(error, "args")
        if issubclass(type(error), BaseExceptionGroup):
            args = (peek(error, "message", BaseExceptionGroup),)
        try:
            plain = [to_plain(self._cut_raw(arg)) for arg in args]
            return tuple(plain) if self._fits(plain) else None
        except (ValueNotStorable, RecursionError):
            return None

    def _attributes(self, error: BaseException) -> tuple[dict[str, object], list[str]]:
        kept: dict[str, object] = {}
        lost: list[str] = []
        for name, value in attributes_of(error):
            with contextlib.suppress(ValueNotStorable, RecursionError):
                plain = to_plain(self._cut_raw(value))
                if _UNSTORABLE.search(name) is None and self._fits([kept, plain]):
                    kept[name] = plain
                    continue
            lost.append(f"{name} ({type(value).__name__})")
        return kept, lost

    def _fits(self, plain: object) -> bool:
        return len(json.dumps(plain)) <= 2 * self._most

    def _notes(self, error: BaseException) -> tuple[tuple[str, ...], str]:
        """Its notes, and the traceback that `revive` left among them."""
        notes = peek(error, "__dict__").get("__notes__")
        kept: list[str] = []
        recorded = ""
        for note in notes[:MAX_CHAIN] if isinstance(notes, list | tuple) else ():
            if not isinstance(note, str):
                continue
            if note.startswith(_RECORDED):
                recorded = note.removeprefix(_RECORDED)
            else:
                kept.append(self._cut(_storable(note)))
        return tuple(kept), self._cut(_storable(recorded))

    def _traceback(self, error: BaseException) -> str:
        try:
            frames = [
                (frame, line)
                for frame, line in traceback.walk_tb(peek(error, "__traceback__"))
                if not frame.f_code.co_filename.startswith(_PACKAGE)
            ]
            if not frames:
                return ""
            text = "".join(traceback.StackSummary.extract(iter(frames)).format())
        except Exception:  # noqa: BLE001 - sources come from loaders, which may raise anything
            return ""
        return self._cut(_storable("Traceback (most recent call last):\n" + text.rstrip("\n")))

    def _cut(self, text: str) -> str:
        return _cut(text, self._most)

    def _cut_raw(self, value: object) -> object:
        return self._cut(value) if type(value) is str else value


def _rebuild(failure: Failure, exceptions: list[BaseException]) -> BaseException | None:
    """The exception itself; None where it would not be the one that was recorded."""
    kind = find_type(failure.type)
    if kind is None or not issubclass(kind, BaseException) or issubclass(kind, ControlSignal) or failure.args is None:
        return None
    members = [exceptions] if issubclass(kind, BaseExceptionGroup) else []
    try:
        attributes = {name: from_plain(plain) for name, plain in failure.attributes.items()}
        error = assemble(kind, [*map(from_plain, failure.args), *members], attributes)
    except Exception:  # noqa: BLE001 - any class may refuse in any way to be made so
        return None
    return error if _text_of(error, MAX_TEXT) == failure.message else None


def _name_of(error: BaseException) -> str:
    try:
        return _cut(_storable(type_name(type(error))), 1000)
    except Exception:  # noqa: BLE001 - a metaclass in its way
        return "builtins:BaseException"


def _message_of(error: BaseException, most: int) -> str:
    text = _text_of(error, most)
    return f"<str() of this {_name_of(error)} raises>" if text is None else text


def _text_of(error: BaseException, most: int) -> str | None:
    try:
        return _cut(_storable(str.__str__(str(error))), most)
    except BaseException:  # noqa: BLE001 - whatever the exception's own code raises
        return None


def _storable(text: str) -> str:
    """Text in which what Postgres cannot store is written as escapes."""
    return _UNSTORABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    note = f"\n... [{len(text)} characters, the middle is left out] ...\n"
    half = (most - len(note)) // 2
    return text[:half] + note + text[-half:]
