"""Stand-ins for unkept parts of an exception: their use is an error that explains why, and how to keep the part.

An attribute that was not kept is an AttributeError of that text. An argument that was not kept is a `NotKept` with the
text that the value had. The exception keeps its class for `except`, `isinstance` and its name; only `type()` shows that
it is a subclass, made for the parts that this one has lost.
"""

from __future__ import annotations

import abc
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from ..class_names import type_name
from ..storable_text import cut, storable
from .exception_state import HISTORY, peek

__all__ = ["History", "NotKept", "base_of", "class_without", "describe", "history_of", "remember"]

_SHOWN: Final = 1000
_WHY: Final = (
    "what a step raises is stored, so that it is the same after a crash as before, and this is no plain data. Read what"
    " you need of it inside of the step, and keep that in arguments or attributes of plain types"
)


@dataclass(frozen=True, slots=True)
class History:
    """The record of a rebuilt exception beside its class: attributes that it lost, and its texts."""

    lost: Mapping[str, str] = field(default_factory=dict)
    """Names of attributes, and a description of each."""

    text: str | None = None
    """The text of `str`, if the rebuilt exception has another."""

    spelled: str | None = None
    """What `repr` gave, likewise."""


def describe(value: object) -> str:
    """Describe a value, for the message about its loss."""
    kind = type(value)
    return storable(
        f"a {kind.__qualname__} ({kind.__module__})" if kind.__module__ != "builtins" else kind.__qualname__
    )


class NotKept:
    """An argument of an exception that was not kept: it has its text; any other use is an error."""

    __slots__ = ("_kind", "_spelled", "_text")

    def __init__(self, kind: str, spelled: str, text: str) -> None:
        self._kind, self._spelled, self._text = kind, spelled, text

    @classmethod
    def of(cls, value: object) -> NotKept:
        """The stand-in for a value."""
        if isinstance(value, NotKept):
            return value
        return cls.read([storable(type_name(type(value))), _guarded(repr, value), _guarded(str, value)])

    @classmethod
    def unseen(cls, value: object) -> NotKept:
        """The same without a text of the value."""
        if isinstance(value, NotKept):
            return value
        text = f"<{type(value).__name__} object>"
        return cls.read([storable(type_name(type(value))), text, text])

    @classmethod
    def read(cls, content: list[str]) -> NotKept:
        """What `content` of another one makes."""
        kind, spelled, text = content
        # Under the name of the value's class, for displays that show an argument's type.
        name = kind.rpartition(":")[2].rpartition(".")[2] or cls.__name__
        made: NotKept = type(name, (cls,), {"__slots__": (), "__module__": __name__})(kind, spelled, text)
        return made

    @property
    def content(self) -> list[str]:
        """Name of the class, `repr` and `str` of the value."""
        return [self._kind, self._spelled, self._text]

    def __repr__(self) -> str:
        return self._spelled

    def __str__(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return self.content == other.content if isinstance(other, NotKept) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._spelled)

    def __reduce__(self) -> tuple[object, ...]:
        return NotKept.read, (self.content,)

    def __dir__(self) -> list[str]:
        return []

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{name!r} of {self._said()}")

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(self._said())

    # An error where it is used, and not a value that it never had.
    __bool__ = __call__ = __contains__ = __float__ = __getitem__ = __int__ = __iter__ = __len__ = _refuse

    def _said(self) -> str:
        return f"{self._spelled} ({self._kind}) was not kept with its exception: {_WHY}"


def class_without(kind: type[BaseException], history: History) -> type[BaseException]:
    """The class of an exception of `kind` with this history: `kind` itself if it has lost nothing.

    Raises:
        Exception: `kind` has no subclasses.
    """
    if history == History():
        return kind
    texts = [("__str__", history.text), ("__repr__", history.spelled)]
    program: Any = kind
    return _derived(program, frozenset(history.lost), frozenset(name for name, text in texts if text is not None))


def base_of(kind: type[BaseException]) -> type[BaseException]:
    """The program's class that a class of `class_without` stands for; any other is its own."""
    return kind.__bases__[1] if issubclass(kind, _Changed) else kind


def history_of(error: BaseException) -> History:
    """The history of a rebuilt exception."""
    try:
        found: History = type(error).__dict__[HISTORY].__get__(error)
    except (AttributeError, KeyError):  # of the program's own class, or just being made
        return History()
    return found


def remember(error: BaseException, history: History) -> None:
    """Give an exception of `class_without` its history, in a slot: `vars` has the program's attributes alone."""
    if history != History():
        type(error).__dict__[HISTORY].__set__(error, history)


class _Changed:
    """The first base of such a subclass."""

    __slots__ = ()

    def __init_subclass__(cls, **_: object) -> None:
        """Keep the hook of the exception's class for its subclasses away from this one."""

    def __reduce_ex__(self, _protocol: object) -> tuple[object, ...]:
        from .failure import Failure

        assert isinstance(self, BaseException)
        return _unpickled, (Failure.of(self).to_json(),)


class _Attribute:
    """An attribute that was not kept. It can be set again."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, error: BaseException | None, _owner: object = None) -> object:
        if error is None:
            return self
        own = peek(error, "__dict__")
        if self._name in own:
            return own[self._name]
        raise AttributeError(_missing(error, self._name))

    def __set__(self, error: BaseException, value: object) -> None:
        peek(error, "__dict__")[self._name] = value

    def __delete__(self, error: BaseException) -> None:
        if peek(error, "__dict__").pop(self._name, self) is self:
            raise AttributeError(_missing(error, self._name))


@functools.lru_cache(maxsize=1024)
def _derived(kind: Any, lost: frozenset[str], texts: frozenset[str]) -> type[BaseException]:
    body: dict[str, Any] = {name: _Attribute(name) for name in lost} | {"__slots__": (HISTORY,)}
    body |= {name: type.__getattribute__(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    body["__class__"] = property(lambda _: kind)
    if "__str__" in texts:
        body["__str__"] = lambda error: history_of(error).text
    if "__repr__" in texts:
        body["__repr__"] = lambda error: history_of(error).spelled
    if lost and hasattr(kind, "__getattr__"):
        body["__getattr__"] = _attributes_by(kind.__getattr__)
    metaclass, name = type(kind), type.__getattribute__(kind, "__name__")
    # A metaclass of the program may do things to its classes that must not happen to this one.
    if metaclass in (type, abc.ABCMeta):
        made: type[BaseException] = metaclass(name, (_Changed, kind), body)
    else:
        made = type.__new__(metaclass, name, (_Changed, kind), body)
    return made


def _attributes_by(theirs: Any) -> Any:
    def __getattr__(error: BaseException, name: str) -> object:  # noqa: N807
        if name in history_of(error).lost:
            raise AttributeError(_missing(error, name))
        try:
            return theirs(error, name)
        except AttributeError:
            raise
        except Exception as other:
            # The code may have needed an attribute that was not kept.
            lost = ", ".join(history_of(error).lost)
            raise AttributeError(
                f"{name!r} is not to be had of this {type(error).__name__} ({type(other).__name__}: {other}), perhaps"
                f" because it was not kept as a whole; not kept: {lost}"
            ) from other

    return __getattr__


def _missing(error: BaseException, name: str) -> str:
    kind = type(error).__name__
    was = history_of(error).lost.get(name, "no plain data")
    return (
        f"{name!r} of this {kind} was not kept; it was {was}: {_WHY}, or say with"
        f" perdure.register_error({kind}, ...) how such an exception travels"
    )


def _unpickled(text: str) -> BaseException:
    from .failure import Failure

    return Failure.from_json(text).revive()


def _guarded(text: Any, value: object) -> str:
    try:
        return cut(storable(str.__str__(text(value))), _SHOWN)
    except BaseException:  # noqa: BLE001 - the value's own code may raise anything
        return f"<{type(value).__name__} object>"
