"""Type hints of functions: resolved one at a time and late, and spelled for messages.

Only the hint that is needed is evaluated, so an annotation that cannot be imported does no harm until it is needed.
"""

from __future__ import annotations

import collections.abc
import contextlib
import functools
import inspect
import itertools
import sys
import types
import typing
from collections.abc import Callable
from typing import Any, Final

from ..errors import DefinitionError

__all__ = ["parameter_hint", "remember_names", "result_hint", "says_nothing", "spell", "suggest"]

_NAMES: Final = "__perdure_names__"
"""The attribute in which a function keeps the names that `remember_names` found."""

_SHOWN = 4
"""Members of a tuple or a union that a suggestion spells out."""

_LOOKED_AT = 50
"""Members of a collection that a suggestion looks at."""


def result_hint(function: Callable[..., object], owner: str) -> object:
    """The hint of the result of `function`; if the result is an awaitable, the hint of the awaited value.

    Raises:
        DefinitionError: the annotation cannot be evaluated.
    """
    hint = _hint(function, "return", owner)
    origin = typing.get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, collections.abc.Awaitable):
        return typing.get_args(hint)[-1]
    return hint


def parameter_hint(function: Callable[..., object], name: str, owner: str) -> object:
    """The hint of the parameter `name`, `Any` where there is none.

    Raises:
        DefinitionError: the annotation cannot be evaluated.
    """
    return _hint(function, name, owner)


def _hint(function: Callable[..., object], name: str, owner: str) -> object:
    function = _plain_function(function)
    annotation = getattr(function, "__annotations__", {}).get(name, typing.Any)
    if annotation is inspect.Signature.empty:
        return typing.Any
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        found = typing.get_type_hints(holder, getattr(function, "__globals__", {}), _names_around(function), True)
    except Exception as error:
        what = "result" if name == "return" else f"argument {name!r}"
        raise DefinitionError(
            f"{owner}: the annotation of its {what}, {annotation!r}, cannot be evaluated ({type(error).__name__}:"
            f" {error}); it decides how the value is read back, so its names must be there at run time: import"
            " them outside `if TYPE_CHECKING:`, and define a class at the top of its module, or before the function"
            " that names it"
        ) from error
    hint: object = found[name]
    if not _has_self(hint):
        return hint
    owner_class = _class_of(function)
    if owner_class is None:
        raise DefinitionError(
            f"{owner}: its annotation says Self, and its class cannot be found by the name {function.__qualname__!r};"
            " define the class at the top of its module, or annotate the class itself"
        )
    return _without_self(hint, owner_class)


def remember_names(function: Callable[..., object], frame: types.FrameType | None) -> None:
    """Keep the local names that an inner function's annotations use: its closure has only those that its code uses.

    `frame` is the frame that defines the function. Only names in annotations that are text are kept, and only those
    that the frame has by now.
    """
    function = _plain_function(function)
    names: set[str] = set()
    for annotation in getattr(function, "__annotations__", {}).values():
        if isinstance(annotation, str):
            with contextlib.suppress(SyntaxError, ValueError):
                names.update(compile(annotation, "<annotation>", "eval", dont_inherit=True).co_names)
    if names and frame is not None and frame.f_locals is not frame.f_globals:
        there = {name: frame.f_locals[name] for name in names if name in frame.f_locals}
        if there:
            function.__dict__[_NAMES] = there


def _plain_function(function: Any) -> Any:
    """The function whose annotations count: the one inside of partials and wrappers, or a class's `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not isinstance(function, types.FunctionType | types.MethodType):
        # An object with `__call__`: the method of its class runs.
        function = getattr(type(function), "__call__", function)  # noqa: B004 - takes the method
    return function


def _has_self(hint: object) -> bool:
    return hint is typing.Self or any(_has_self(member) for member in typing.get_args(hint))


def _without_self(hint: typing.Any, owner: type) -> object:
    if hint is typing.Self:
        return owner
    if not _has_self(hint):
        return hint
    members = tuple(_without_self(member, owner) for member in typing.get_args(hint))
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[members]  # noqa: UP007 - members are not known here
    if origin is typing.Annotated:
        return typing.Annotated[members]
    return hint.copy_with(members) if hasattr(hint, "copy_with") else types.GenericAlias(origin, members)


def _class_of(function: object) -> type | None:
    """The class in whose body a function is defined."""
    found: object = sys.modules.get(getattr(function, "__module__", ""))
    for part in getattr(function, "__qualname__", "").split(".")[:-1]:
        found = getattr(found, part, None)
    return found if isinstance(found, type) else None


def _names_around(function: Any) -> dict[str, object]:
    """Names that annotations may use besides those of the module.

    These are the kept names of the function around it, the classes and type parameters of its class, its own type
    parameters, and the names in its closure.
    """
    scope: dict[str, object] = {}
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    holder: object = module
    for part in getattr(function, "__qualname__", "").split(".")[:-1]:
        holder = getattr(holder, part, None)
        if not isinstance(holder, type):
            break
        scope |= {one.__name__: one for one in getattr(holder, "__type_params__", ())}
        # As in the body of the class, where annotations that are not text were evaluated.
        scope |= {name: value for name, value in vars(holder).items() if isinstance(value, type)}
    scope |= getattr(function, "__dict__", {}).get(_NAMES, {})
    code = getattr(function, "__code__", None)
    for name, cell in zip(getattr(code, "co_freevars", ()), getattr(function, "__closure__", None) or (), strict=False):
        with contextlib.suppress(ValueError):  # not assigned yet
            scope[name] = cell.cell_contents
    return scope | {one.__name__: one for one in getattr(function, "__type_params__", ())}


def says_nothing(hint: object) -> bool:
    """Whether values under this hint are plain JSON."""
    return hint is typing.Any or hint is object or hint is inspect.Signature.empty


def spell(hint: object) -> str:
    """Write a hint as its author would: `int`, `list[Receipt]`, `str | None`."""
    if hint is None or hint is types.NoneType:
        return "None"
    if hint is ...:
        return "..."
    if says_nothing(hint):
        return "Any"
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return spell(members[0])
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(spell(member) for member in members)
    if isinstance(origin, type) and members:
        return f"{origin.__name__}[{', '.join(spell(member) for member in members)}]"
    if isinstance(hint, type):
        return hint.__qualname__.rpartition("<locals>.")[2]
    return str(hint).replace("typing.", "")


def suggest(value: object, levels: int = 3) -> str:
    """A hint under which `value` would be read back as it is, spelled out for its upper `levels`."""
    kind = type(value)
    if levels == 0 or kind not in (tuple, list, set, frozenset, dict):
        return spell(kind)
    if isinstance(value, tuple):
        if 0 < len(value) <= _SHOWN:
            return f"tuple[{', '.join(suggest(member, levels - 1) for member in value)}]"
        return f"tuple[{_common(value, levels)}, ...]"
    if isinstance(value, dict):
        return f"dict[{_common(value, levels)}, {_common(value.values(), levels)}]"
    return f"{kind.__name__}[{_common(typing.cast('list[object]', value), levels)}]"


def _common(members: collections.abc.Iterable[object], levels: int) -> str:
    seen = itertools.islice(members, _LOOKED_AT)
    kinds = dict.fromkeys(suggest(member, levels - 1) for member in seen)
    return " | ".join(kinds) if 0 < len(kinds) <= _SHOWN else "Any"
