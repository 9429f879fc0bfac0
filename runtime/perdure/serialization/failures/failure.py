"""Exceptions as data: recorded once, and raised as recorded, on first execution as on every replay.

An exception is rebuilt from its `args` and its plain attributes by the constructor of its built-in base; no `__init__`
of its own runs, and nothing is unpickled. Classes may define how they travel (`registered_errors`, or by a
`__reduce__`). An unkept part of an exception has a stand-in that explains it (`not_kept`); an exception whose class is
missing becomes a `StepError` with the whole record. Recording never raises, and the record can always be stored.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import ValueNotReadable

__all__ = ["Failure"]

_CONTEXT_IS_CAUSE: typing.Final = "cause"


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
    """Its `args` in the form of `plain`; None if nothing is known of them."""

    attributes: Mapping[str, object] = field(default_factory=dict)
    """Its attributes in the form of `plain`, as far as they are plain data."""

    lost: Mapping[str, str] = field(default_factory=dict)
    """Names of the other attributes, and what each of them was."""

    spelled: str | None = None
    """The text of `repr`, if it is not the default one."""

    reduced: tuple[object, ...] | None = None
    """Arguments and state that its class's own `__reduce__` gave, if those keep more than `args` and attributes do."""

    data: object = None
    """The data from the function registered for its class; `null` is none."""

    cause: Failure | None = None
    """Its `__cause__`."""

    context: Failure | None = None
    """Its `__context__`; mostly the very cause."""

    suppress_context: bool = False
    """Its `__suppress_context__`."""

    exceptions: tuple[Failure, ...] = ()
    """The members of an exception group."""

    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Record an exception. Never raises, even if the exception's own code does."""
        from .recorder import record

        return record(error)

    def to_json(self) -> str:
        """JSON text; empty parts are left out."""
        return json.dumps(self.to_document(), separators=(",", ":"), allow_nan=False)

    def to_document(self) -> dict[str, object]:
        """What `to_json` writes."""
        context: object = None
        if self.context is not None:
            context = _CONTEXT_IS_CAUSE if self.context is self.cause else self.context.to_document()
        # Empty parts are left out; unknown arguments are none, and marked so.
        given = {
            "traceback": self.traceback,
            "attributes": dict(self.attributes),
            "lost": dict(self.lost),
            "repr": self.spelled,
            "reduced": None if self.reduced is None else list(self.reduced),
            "cause": None if self.cause is None else self.cause.to_document(),
            "context": context,
            "suppress_context": self.suppress_context,
            "exceptions": [member.to_document() for member in self.exceptions],
            "notes": list(self.notes),
        }
        document: dict[str, object] = {"type": self.type, "message": self.message}
        if self.args != ():
            document["args"] = None if self.args is None else list(self.args)
        if self.data is not None:
            document["data"] = self.data
        return document | {name: value for name, value in given.items() if value}

    @classmethod
    def from_json(cls, text: str | bytes) -> Failure:
        """Read what `to_json` wrote; fields that a later version added are passed over.

        Raises:
            ValueNotReadable: it is no recorded error.
        """
        try:
            return cls.of_document(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueNotReadable(f"a recorded error cannot be read ({type(error).__name__}: {error})") from error

    @classmethod
    def of_document(cls, document: Mapping[str, typing.Any]) -> Failure:
        """As `from_json`.

        Raises:
            Exception: it is no recorded error.
        """
        args, reduced = document.get("args", ()), document.get("reduced")
        cause, context = document.get("cause"), document.get("context")
        behind = None if cause is None else cls.of_document(cause)
        if context is not None:
            context = behind if context == _CONTEXT_IS_CAUSE else cls.of_document(context)
        return cls(
            type=str(document["type"]),
            message=str(document["message"]),
            traceback=str(document.get("traceback", "")),
            args=None if args is None else tuple(args),
            attributes=dict(document.get("attributes", {})),
            lost={str(name): str(was) for name, was in dict(document.get("lost", {})).items()},
            spelled=None if document.get("repr") is None else str(document["repr"]),
            reduced=None if reduced is None else tuple(reduced),
            data=document.get("data"),
            cause=behind,
            context=context,
            suppress_context=bool(document.get("suppress_context", False)),
            exceptions=tuple(cls.of_document(member) for member in document.get("exceptions", ())),
            notes=tuple(str(note) for note in document.get("notes", ())),
        )

    def revive(self) -> BaseException:
        """The exception to raise for this failure, its recorded traceback in a note."""
        from .revival import revive

        return revive(self)
