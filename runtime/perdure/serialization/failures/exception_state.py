"""Exceptions taken apart and put together again, without running code of their classes.

The interpreter's own fields of an exception are read and set through the descriptors of its built-in bases, so that
properties, `__getattribute__` or an `__init__` with arguments of its own are not in the way.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping, Sequence

__all__ = ["HISTORY", "assemble", "attributes_of", "interpreter_attributes", "members_of", "peek", "put"]

_INTERPRETER_ATTRIBUTES: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (OSError, ("errno", "strerror", "filename", "filename2", "characters_written")),
    (ImportError, ("msg", "name", "path")),
    (NameError, ("name",)),
    (AttributeError, ("name", "obj")),
    (StopIteration, ("value",)),
    (SystemExit, ("code",)),
    (SyntaxError, ("msg", "filename", "lineno", "offset", "text", "end_lineno", "end_offset", "print_file_and_line")),
)
"""What built-in exceptions keep outside `args` and `__dict__`, and can be set. Mostly it follows from `args`."""


HISTORY: typing.Final = "__perdure__"
"""The slot in which a rebuilt exception keeps its `not_kept.History`."""

_OURS = ("__notes__", HISTORY)


def peek(error: BaseException, name: str, base: type[BaseException] = BaseException) -> typing.Any:
    """Read one of the interpreter's own fields, past properties and `__getattribute__` of the class."""
    return base.__dict__[name].__get__(error)


def put(error: BaseException, name: str, value: object) -> None:
    """Set one of the interpreter's own fields, as `peek` reads it."""
    BaseException.__dict__[name].__set__(error, value)


def members_of(error: BaseException) -> tuple[typing.Any, ...]:
    """The exceptions in a group, none for any other exception."""
    members: tuple[typing.Any, ...] = ()
    if issubclass(type(error), BaseExceptionGroup):
        members = peek(error, "exceptions", BaseExceptionGroup)
    return members


def attributes_of(error: BaseException) -> Iterator[tuple[str, object]]:
    """Instance attributes and slots, without running code of the class."""
    for name, value in list(peek(error, "__dict__").items()):
        if isinstance(name, str) and name not in _OURS:
            yield name, value
    for name, slot in _slots_of(type(error)):
        try:
            yield name, slot.__get__(error)
        except AttributeError:  # not assigned
            continue


def interpreter_attributes(error: BaseException) -> Iterator[tuple[str, object]]:
    """What built-in bases keep of it."""
    for kind, names in _INTERPRETER_ATTRIBUTES:
        if issubclass(type(error), kind):
            for name in names:
                try:
                    yield name, peek(error, name, kind)
                except AttributeError:  # not assigned
                    continue


def _slots_of(kind: type) -> Iterator[tuple[str, types.MemberDescriptorType]]:
    for base in kind.__mro__:
        if base.__module__ != "builtins" and "__slots__" in base.__dict__:
            for name, member in base.__dict__.items():
                if isinstance(member, types.MemberDescriptorType) and name not in _OURS:
                    yield name, member


def assemble(kind: type[BaseException], args: Sequence[object], attributes: Mapping[str, object]) -> BaseException:
    """An exception of this class, made by the constructor of its built-in base.

    Raises:
        Exception: the class cannot be made so; the error is its own.
    """
    error = _builtin(kind, "__new__")(kind, *args)
    if type(error) is not kind:
        raise TypeError(f"{kind} makes {type(error)}")
    _builtin(kind, "__init__")(error, *args)
    slots = dict(_slots_of(kind))
    for base, names in _INTERPRETER_ATTRIBUTES:
        if issubclass(kind, base):
            slots |= {name: base.__dict__[name] for name in names}
    for name, value in attributes.items():
        if name in slots:
            slots[name].__set__(error, value)
        else:
            peek(error, "__dict__")[name] = value
    made: BaseException = error
    return made


def _builtin(kind: type, name: str) -> typing.Any:
    """The first method of that name in the bases that is not written in Python."""
    for base in kind.__mro__:
        method = base.__dict__.get(name)
        if method is not None and not isinstance(method, types.FunctionType | staticmethod | classmethod):
            return getattr(base, name)
    raise TypeError(f"{kind} has no built-in {name}")
