"""The fingerprint of a call. Replay compares it, so that no other call gets a step's stored outcome.

It is a keyed hash over the arguments as the function binds them, in canonical form (`canonical`). An argument given by
position or by name is the same argument, and arguments that equal their default are left out. The key is the run's
secret, so that the arguments cannot be guessed from a stored fingerprint. The arguments themselves are not stored.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

from ..errors import DefinitionError
from .canonical.text import SCALARS, scalar_text
from .canonical.walk import Walk
from .flaws import shorten

__all__ = ["NOT_TAKEN", "NO_ARGUMENTS", "Fingerprint", "Taken", "keyed_hash", "shown_call"]

NO_ARGUMENTS: Final = "0" * 32
"""The fingerprint of a call without arguments."""

_UNBOUND = (types.MethodDescriptorType, types.WrapperDescriptorType)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Taken:
    """The fingerprint of one call: 32 hexadecimal digits, and the texts of the arguments that could be changed."""

    __slots__ = ("changeable", "digits")

    def __init__(self, digits: str | None, changeable: Mapping[str, str] | None = None) -> None:
        self.digits = digits
        self.changeable = changeable


NOT_TAKEN = Taken(None)
"""No fingerprint: the step has fingerprints turned off, or the fingerprint could not be taken."""

_EMPTY = Taken(NO_ARGUMENTS)


def keyed_hash(key: bytes) -> blake2b:
    """The hash with a run's secret as its key. Each use copies it, which is twice as fast as a new hash."""
    return blake2b(digest_size=16, key=key)


class Fingerprint:
    """Takes the fingerprints of the calls of one function.

    Args:
        function: the function; the values that a `functools.partial` or a method is bound to count as arguments.
        exclude: names of parameters that do not count.

    Raises:
        DefinitionError: the function has no parameter of an excluded name.
    """

    __slots__ = ("_args", "_by_position", "_defaults", "_exclude", "_function", "_kwargs", "_names")

    def __init__(self, function: Callable[..., Any], exclude: Collection[str] = ()) -> None:
        args: tuple[Any, ...] = ()
        kwargs: dict[str, Any] = {}
        while True:
            if isinstance(function, functools.partial):
                args, kwargs, function = function.args + args, {**function.keywords, **kwargs}, function.func
            elif isinstance(function, types.MethodType):
                args, function = (function.__self__, *args), function.__func__
            elif type(function) is not types.FunctionType and (bound := _bound(function)) is not None:
                owner, function = bound
                args = (owner, *args)
            else:
                break
        self._args = args
        self._kwargs = kwargs
        self._function = function
        self._exclude = frozenset(exclude)
        self._names: tuple[str, ...] | None = None
        self._defaults: tuple[tuple[str, Any], ...] = ()
        self._by_position: dict[int, tuple[tuple[str, int], ...]] = {}
        """Names and positions of so many arguments, sorted by name; if all are by position and none has a default."""
        if exclude:
            self._check_excluded()

    def like(self, function: Callable[..., Any]) -> Fingerprint:
        """A `Fingerprint` of another function, with the same exclusions."""
        if function is self._function and not (self._args or self._kwargs):
            return self
        made = Fingerprint(function)
        made._exclude = self._exclude  # a name that the other function lacks excludes nothing
        return made

    def take(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], keyed: blake2b) -> Taken:
        """Take the fingerprint of a call; never raises. `digits` is None where it cannot be taken.

        Args:
            args: the call's arguments by position.
            kwargs: the call's arguments by name.
            keyed: a `keyed_hash`.
        """
        if not (args or kwargs or self._args or self._kwargs):
            return _EMPTY
        places = None if kwargs else self._by_position.get(len(args))
        try:
            if places is not None:
                # Most calls have only scalars, by position: they need neither `_take` nor a walk.
                texts = [f"{name}={scalar_text(args[at])}" for name, at in places if type(args[at]) in SCALARS]
                if texts and len(texts) == len(places):
                    digest = keyed.copy()
                    digest.update(",".join(texts).encode())
                    return Taken(digest.hexdigest())
                return self._take([(name, args[place]) for name, place in places], keyed)
            called_before = self._names is not None
            bound = self.bind(args, kwargs)
            if called_before and not kwargs:  # many functions of `run_step` are called once
                self._learn(args)
            return self._take(sorted(bound.items(), key=_name) if len(bound) > 1 else bound.items(), keyed)
        except RecursionError:  # a deep workflow leaves too little stack, and goes on without a fingerprint
            return NOT_TAKEN

    def _learn(self, args: tuple[Any, ...]) -> None:
        """Remember how arguments by position are bound, if that depends only on their number."""
        names = self._names or ()
        given = names[: len(args)]
        if len(args) > len(names) or self._args or self._kwargs or any(name in given for name, _ in self._defaults):
            return
        counted = {name: place for place, name in enumerate(given) if name not in self._exclude}
        self._by_position[len(args)] = tuple(sorted(counted.items()))

    @staticmethod
    def _take(bound: Iterable[tuple[str, Any]], keyed: blake2b) -> Taken:
        parts = []
        changeable: dict[str, str] | None = None
        for name, value in bound:
            if type(value) in SCALARS:
                parts.append(f"{name}={scalar_text(value)}")
                continue
            walk = Walk()
            text = walk.text(value)
            parts.append(f"{name}={text}")
            if walk.mutable:
                changeable = changeable or {}
                changeable[name] = text
        if not parts:
            return _EMPTY
        digest = keyed.copy()
        digest.update(",".join(parts).encode())
        return Taken(digest.hexdigest(), changeable)

    def changed(self, taken: Taken, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str | None:
        """The name of an argument whose value has changed since the fingerprint was taken; None if none has."""
        if taken.changeable is None:
            return None
        bound = self.bind(args, kwargs, whole=True)
        for name, text in taken.changeable.items():
            try:
                if Walk().text(bound[name]) != text:
                    return name
            except RecursionError:
                continue
        return None

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
        """The arguments by name; without those that equal their default, unless `whole`.

        A call that does not fit the function is bound in part.
        """
        names = self._names
        if names is None:
            names = self._inspect()
        if self._args or self._kwargs:
            args, kwargs = self._args + args, {**self._kwargs, **kwargs}
        bound = dict(zip(names, args, strict=False))
        if len(args) > len(names):
            bound["*"] = args[len(names) :]
        for name, value in kwargs.items():
            bound[name if name not in bound else f"**{name}"] = value
        if not whole:
            for name, default in self._defaults:
                if name in bound and _same(bound[name], default):
                    del bound[name]
        if self._exclude:
            for name in self._exclude:
                bound.pop(name, None)
        return bound

    def _inspect(self) -> tuple[str, ...]:
        """Read the parameters and defaults of the function, at the first call."""
        function = self._function
        names: tuple[str, ...] = ()
        if type(function) is types.FunctionType and not (function.__dict__ and "__wrapped__" in function.__dict__):
            # Ten times as fast as `inspect.signature`: `run_step` gets new functions all the time.
            code = function.__code__
            names = code.co_varnames[: code.co_argcount]
            given = function.__defaults__ or ()
            defaults = list(zip(names[len(names) - len(given) :], given, strict=True))
            defaults += (function.__kwdefaults__ or {}).items()
        else:
            try:
                parameters = inspect.signature(function).parameters.values()
                names = tuple(p.name for p in parameters if p.kind in _POSITIONAL)
            except (TypeError, ValueError):  # a built-in function
                parameters = {}.values()
                names = ("self",) if isinstance(function, _UNBOUND) else ()
            defaults = [(p.name, p.default) for p in parameters if p.default is not p.empty]
        self._defaults = tuple(defaults)
        # Last: to other threads `_names` is the sign that `_defaults` is set.
        self._names = names
        return names

    def _check_excluded(self) -> None:
        try:
            parameters = inspect.signature(self._function).parameters
        except (TypeError, ValueError):
            return
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return
        for name in sorted(self._exclude - parameters.keys()):
            raise DefinitionError(
                f"fingerprint_exclude names {name!r}, which is not a parameter; there are"
                f" {', '.join(parameters) or 'none'}"
            )


def _name(argument: tuple[str, Any]) -> str:
    return argument[0]


def _bound(function: Callable[..., Any]) -> tuple[object, Callable[..., Any]] | None:
    """The `self` of a callable that is not a function, and the method: for `[].append` the list and `list.append`."""
    if isinstance(function, types.BuiltinMethodType | types.MethodWrapperType):
        owner: object = function.__self__
        if owner is None or isinstance(owner, types.ModuleType | type):
            return None
        found = getattr(type(owner), function.__name__, None)
        return (owner, found) if isinstance(found, _UNBOUND) else None
    if hasattr(function, "__wrapped__"):  # a decorator's object: its parameters are those of the wrapped function
        return None
    called = inspect.getattr_static(type(function), "__call__", None)
    return (function, called) if isinstance(called, types.FunctionType) else None


def _same(value: object, default: object) -> bool:
    if value is default:
        return True
    kind = type(value)
    if kind is not type(default):
        return False
    return value == default if kind in SCALARS else Walk().text(value) == Walk().text(default)


def shown_call(function: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """A call as its author might write it, for a message; runs no `__repr__` of user code."""
    try:
        bound = Fingerprint(function).bind(args, kwargs)
        written = [f"{one}={_shown(value)}" for one, value in bound.items()]
    except RecursionError:
        written = ["..."]
    return _cut(f"{name}({', '.join(written)})", 300)


def _shown(value: object) -> str:
    return shorten(value) if type(value) in SCALARS else _cut(Walk().text(value), 80)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."
