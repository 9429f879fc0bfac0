"""Recording an exception as a `Failure`, with all that hangs on it, within limits."""

from __future__ import annotations

import contextlib
import json
import traceback
import types
import typing
from dataclasses import replace
from pathlib import Path
from typing import Final

from ...errors import StepError
from ..class_names import type_name
from ..storable_text import cut, is_storable, storable
from .exception_data import Writer, from_plain
from .exception_state import assemble, attributes_of, interpreter_attributes, members_of, peek
from .failure import Failure
from .not_kept import NotKept, base_of, describe, history_of
from .registered_errors import travel_of

__all__ = ["HEADER", "MAX_BYTES", "MAX_TEXT", "RECORDED", "STANDS_FOR", "record", "spelling_of", "text_of"]

MAX_TEXT: Final = 1 << 16
"""Longest message, traceback and note that are kept, in characters; arguments and attributes have twice that."""

MAX_CHAIN: Final = 20
"""Most exceptions in a chain of causes, and levels of exception groups."""

MAX_MEMBERS: Final = 200
"""Most exceptions that are recorded of one, its groups and causes included."""

MAX_BYTES: Final = 1 << 20
"""Longest JSON text of a failure; texts are cut shorter until it fits."""

HEADER: Final = "Traceback (most recent call last):\n"
RECORDED: Final = "recorded traceback:\n"
"""How the note begins that is the traceback of a rebuilt exception."""

STANDS_FOR: Final = "a StepError stands for it: "
"""The beginning of the note that explains why an exception is not raised as its own class."""

_PACKAGE = str(Path(__file__).parents[2]) + "/"


def record(error: BaseException) -> Failure:
    """Record an exception. Never raises, even if the exception's own code does."""
    # A class can override all that an exception has; then its class and its text must do.
    with contextlib.suppress(Exception):
        for most in (MAX_TEXT, MAX_TEXT >> 4, MAX_TEXT >> 8):
            failure = _Recorder(most).record(error, ())
            if failure is not None and len(failure.to_json()) <= MAX_BYTES:
                return failure
    return Failure(_name_of(error), _message_of(error, MAX_TEXT), args=None)


class _Recorder:
    def __init__(self, most: int) -> None:
        self._most = most
        self._members = MAX_MEMBERS

    def record(self, error: BaseException, above: tuple[BaseException, ...]) -> Failure | None:
        """The failure of `error`, which `above` led to; None past the limits and for an exception met before."""
        if len(above) >= MAX_CHAIN or self._members <= 0 or any(error is one for one in above):
            return None
        self._members -= 1
        above = (*above, error)
        # Members before causes: members are the exception itself, causes are only its origin.
        members = [one for member in members_of(error) if (one := self.record(member, above))]
        explicit, implicit = peek(error, "__cause__"), peek(error, "__context__")
        cause = self._behind(explicit, above)
        context = cause if implicit is explicit else self._behind(implicit, above)
        notes, recorded = self._notes(error)
        own = self._traceback(error)
        failure = self._stand_in(error) or self._bare(error, above)
        # A rebuilt exception that was raised again has the frames of its first raise in a note, or as a StepError in
        # itself; they are further in than those that it has passed since.
        inner = recorded or failure.traceback
        frames = f"{own}\n{inner.removeprefix(HEADER)}" if own and inner else own or inner
        for behind, kept in ((explicit, cause), (implicit, context)):
            if behind is not None and kept is None and not any(behind is one for one in above):
                notes = _with(notes, "what led to this, further back, was not kept")
        if lost := len(members_of(error)) - len(members):
            notes = _with(notes, f"{lost} more exceptions of this group were not kept")
        return replace(
            failure,
            traceback=self._cut(frames),
            cause=cause,
            context=context,
            suppress_context=peek(error, "__suppress_context__"),
            exceptions=tuple(members) or failure.exceptions,
            notes=_with(notes, *failure.notes),
        )

    def _behind(self, error: BaseException | None, above: tuple[BaseException, ...]) -> Failure | None:
        return None if error is None else self.record(error, above)

    def _stand_in(self, error: BaseException) -> Failure | None:
        """The failure for which a StepError of `revive` stands."""
        if type(error) is not StepError:
            return None
        known = error.__dict__.get("_failure")
        return replace(known, notes=()) if isinstance(known, Failure) else None

    def _bare(self, error: BaseException, above: tuple[BaseException, ...]) -> Failure:
        writer = Writer(lambda other: _document_of(self.record(other, above)))
        data, notes = self._data(error, writer)
        failure = Failure(_name_of(error), _message_of(error, self._most), args=None, data=data, notes=notes)
        if data is not None:
            return failure
        args = self._args(error, writer)
        attributes, lost = self._attributes(error, args, writer)
        reduced = self._reduced(error, attributes, lost, writer) if lost else None
        before = {name: was for name, was in history_of(error).lost.items() if name not in attributes}
        return replace(
            failure,
            args=args,
            attributes=attributes,
            lost=lost | before,
            spelled=self._spelled(error),
            reduced=reduced,
        )

    def _args(self, error: BaseException, writer: Writer) -> tuple[object, ...]:
        """Its arguments, each as plain data or as a stand-in."""
        args: tuple[object, ...] = peek(error, "args")
        if issubclass(type(error), BaseExceptionGroup):
            args = (peek(error, "message", BaseExceptionGroup),)
        plain = [self._argument(arg, writer, 2 * self._most) for arg in args]
        if not self._fits(plain):
            plain = [self._argument(arg, writer, 2 * self._most // len(args)) for arg in args]
        return tuple(plain) if self._fits(plain) else ()

    def _argument(self, arg: object, writer: Writer, most: int) -> object:
        with contextlib.suppress(Exception):
            plain = writer.write(self._cut_raw(arg))
            if len(json.dumps(plain)) <= most:
                return plain
        return writer.write(NotKept.of(arg))

    def _attributes(
        self, error: BaseException, args: tuple[object, ...], writer: Writer
    ) -> tuple[dict[str, object], dict[str, str]]:
        kept: dict[str, object] = {}
        lost: dict[str, str] = {}
        for name, value in attributes_of(error):
            if not is_storable(name):
                continue
            with contextlib.suppress(Exception):
                plain = writer.write(self._cut_raw(value))
                if self._fits([kept, plain]):
                    kept[name] = plain
                    continue
            lost[name] = describe(value)
        own, most = list(interpreter_attributes(error)), self._most
        bare = _from_args(error, args) if own else {}
        for name, value in own:
            same = bare.get(name)
            if type(value) is not type(same) or value != same:
                # The interpreter itself looks at these, so something must be there. The object of an AttributeError may
                # hold anything, and is seldom looked at.
                plain = writer.write(NotKept.unseen(value)) if name == "obj" else self._argument(value, writer, most)
                if self._fits([kept, plain]):
                    kept[name] = plain
        return kept, lost

    def _reduced(
        self, error: BaseException, attributes: dict[str, object], lost: dict[str, str], writer: Writer
    ) -> tuple[object, ...] | None:
        """The arguments from the class's own `__reduce__`; attributes that it restores go to `attributes`."""
        kind = base_of(type(error))
        own = next((one for one in kind.__mro__ if "__reduce__" in one.__dict__), BaseException)
        if not isinstance(own.__dict__["__reduce__"], types.FunctionType):
            return None
        with contextlib.suppress(Exception):
            made, args, *rest = typing.cast("tuple[object, ...]", error.__reduce__())
            if made is not kind:
                return None
            state = rest[0] if rest and isinstance(rest[0], dict) else {}
            for name in [name for name in lost if name in state]:
                with contextlib.suppress(Exception):
                    attributes[name] = writer.write(state[name])
                    del lost[name]
            if not lost:
                return None
            plain = [writer.write(args), writer.write(state)]
            again = kind(*typing.cast("typing.Any", from_plain(plain[0])))
            if not self._fits(plain) or type(again) is not kind or text_of(again, MAX_TEXT) != text_of(error, MAX_TEXT):
                return None
            have = dict(attributes_of(again)) | state
            if all(name in have for name in lost):
                lost.clear()
                return tuple(plain)
        return None

    def _data(self, error: BaseException, writer: Writer) -> tuple[object, tuple[str, ...]]:
        """The data from the function registered for the class, and notes about it."""
        travel = travel_of(base_of(type(error)))
        if travel is None:
            return None, ()
        try:
            plain = writer.write(travel.to_data(error))
            if self._fits(plain):
                return plain, ()
            why = f"it gave more than {2 * self._most} characters of JSON"
        except Exception as problem:  # noqa: BLE001 - the application's function may raise anything
            why = f"{type(problem).__name__}: {_message_of(problem, 500)}"
        return None, (storable(f"how this exception was registered to travel did not work: {why}"),)

    def _spelled(self, error: BaseException) -> str | None:
        spelled = spelling_of(error, self._most)
        # Of the arguments of a group its message and its members are kept.
        whole = not issubclass(type(error), BaseExceptionGroup) or len(peek(error, "args")) == 2
        return None if whole and spelled in (None, self._cut(_default_spelling(error))) else spelled

    def _fits(self, plain: object) -> bool:
        return len(json.dumps(plain)) <= 2 * self._most

    def _notes(self, error: BaseException) -> tuple[tuple[str, ...], str]:
        """Its notes, and the traceback that `revive` left among them."""
        notes = peek(error, "__dict__").get("__notes__")
        kept: list[str] = []
        recorded = ""
        for note in notes[:MAX_CHAIN] if isinstance(notes, list | tuple) else ():
            if not isinstance(note, str) or note.startswith(STANDS_FOR):
                continue
            if note.startswith(RECORDED):
                recorded = note.removeprefix(RECORDED)
            else:
                kept.append(self._cut(storable(note)))
        return tuple(kept), self._cut(storable(recorded))

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
        return self._cut(storable(HEADER + text.rstrip("\n")))

    def _cut(self, text: str) -> str:
        return cut(text, self._most)

    def _cut_raw(self, value: object) -> object:
        return self._cut(value) if type(value) is str else value


def _from_args(error: BaseException, args: tuple[object, ...]) -> dict[str, object]:
    """The attributes that the interpreter itself derives from the arguments."""
    with contextlib.suppress(Exception):
        kind = base_of(type(error))
        members = [list(members_of(error))] if issubclass(kind, BaseExceptionGroup) else []
        return dict(interpreter_attributes(assemble(kind, [*map(from_plain, args), *members], {})))
    return {}


def _document_of(failure: Failure | None) -> dict[str, object] | None:
    return None if failure is None else failure.to_document()


def _with(notes: tuple[str, ...], *more: str) -> tuple[str, ...]:
    return (*notes, *(note for note in more if note not in notes))


def _name_of(error: BaseException) -> str:
    try:
        return cut(storable(type_name(type(error))), 1000)
    except Exception:  # noqa: BLE001 - a metaclass in its way
        return "builtins:BaseException"


def _message_of(error: BaseException, most: int) -> str:
    text = text_of(error, most)
    return f"<str() of this {_name_of(error)} raises>" if text is None else text


def text_of(error: BaseException, most: int) -> str | None:
    """What `str` gives, as it is stored; None if it raises."""
    try:
        return cut(storable(str.__str__(str(error))), most)
    except BaseException:  # noqa: BLE001 - the exception's own code may raise anything
        return None


def spelling_of(error: BaseException, most: int) -> str | None:
    """What `repr` gives, as it is stored; None if it raises."""
    try:
        return cut(storable(str.__str__(repr(error))), most)
    except BaseException:  # noqa: BLE001 - likewise
        return None


def _default_spelling(error: BaseException) -> str:
    try:
        return storable(BaseException.__repr__(error))
    except BaseException:  # noqa: BLE001 - the `repr` of an argument
        return ""
