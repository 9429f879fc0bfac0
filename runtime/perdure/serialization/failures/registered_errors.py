"""Registered functions for exceptions that cannot be rebuilt from their arguments and attributes.

One is registered here already: pydantic's `ValidationError`, which is made again from its error data.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from ...errors import UsageError, ValueNotStorable
from .exception_data import to_plain
from .not_kept import NotKept

__all__ = ["Travel", "register_error", "travel_of"]

E = TypeVar("E", bound=BaseException)

_INPUT: Final = 1 << 12
"""Longest JSON text of an input that a ValidationError keeps of each of its errors."""


@dataclass(frozen=True, slots=True)
class Travel:
    """How exceptions of one class are written and made again."""

    to_data: Callable[[Any], object]
    from_data: Callable[[Any], BaseException]


_registered: dict[type[BaseException], Travel] = {}


def register_error(kind: type[E], to_data: Callable[[E], object], from_data: Callable[[Any], E]) -> None:
    """Register how exceptions of a class travel from the step that raises one to the workflow that handles it.

    Without this an exception keeps its arguments and attributes as far as they are plain data. Register at the top of a
    module that the workflow imports, so that every process which goes on with a run has it.

    Args:
        kind: the class. Its subclasses are classes of their own.
        to_data: gives plain data for an exception: JSON's types, dates, decimals, dataclasses and the like.
        from_data: makes the exception again from that data. Both are called on the first execution as well.

    Raises:
        UsageError: an argument is none.
    """
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        raise UsageError(f"register_error: {kind!r} is no class of exceptions")
    if not callable(to_data) or not callable(from_data):
        raise UsageError(f"register_error({kind.__name__}, ...) takes two functions: to data, and from data")
    _registered[kind] = Travel(to_data, from_data)


def travel_of(kind: type[BaseException]) -> Travel | None:
    """The functions registered for a class."""
    return _registered.get(kind)


def _data_of(error: ValidationError) -> dict[str, object]:
    errors = [
        {
            "type": one["type"],
            "loc": list(one["loc"]),
            "msg": one["msg"],
            "input": _input(one["input"]),
            "ctx": {name: _input(value) for name, value in one.get("ctx", {}).items()},
        }
        for one in error.errors(include_url=False)
    ]
    data: dict[str, Any] = {"title": error.title, "errors": errors}
    # The error does not keep its input type, so the one that makes the same text is taken.
    for kind in ("python", "json"):
        for hidden in (False, True):
            data |= {"from": kind, "hidden": hidden}
            if str(_of_data(data)) == str(error):
                return data
    return data


def _input(value: object) -> object:
    try:
        return value if len(json.dumps(to_plain(value))) <= _INPUT else NotKept.of(value)
    except (ValueNotStorable, RecursionError):
        return value if isinstance(value, BaseException) else NotKept.of(value)


def _of_data(data: dict[str, Any]) -> ValidationError:
    errors = [_details(one, data["from"]) for one in data["errors"]]
    error = ValidationError.from_exception_data(data["title"], errors, data["from"], data["hidden"])
    error.args = ()  # as where a validator raises it
    return error


def _details(one: dict[str, Any], kind: Any) -> InitErrorDetails:
    details: InitErrorDetails = {"type": one["type"], "loc": tuple(one["loc"]), "input": one["input"]}
    if one["ctx"]:
        details["ctx"] = one["ctx"]
    try:
        [made] = ValidationError.from_exception_data("", [details], kind).errors(include_url=False)
        if made["msg"] == one["msg"]:
            return details
    except (KeyError, TypeError, ValueError):
        pass  # an application's own type of error
    details["type"] = PydanticCustomError(one["type"], one["msg"], one["ctx"] or None)
    details.pop("ctx", None)
    return details


register_error(ValidationError, _data_of, _of_data)
