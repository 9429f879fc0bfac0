"""A workflow's input: the arguments of its function as one JSON object, keyed by parameter name.

Only given arguments are written; defaults are filled in by the call itself. The text is canonical: parameters in their
order, further keyword arguments by name.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import NoReturn

from pydantic_core import PydanticSerializationError, ValidationError, from_json, to_json

from ..errors import DefinitionError, InputError, ValueNotStorable
from .adapters import Arguments
from .codec import ValueCodec, explain, placed
from .flaws import find_flaw, shorten
from .roundtrip import difference
from .type_hints import parameter_hint

__all__ = ["Signature"]

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Signature:
    """The parameters of a workflow function. Annotations are resolved at first use."""

    __slots__ = ("_codec", "_extras", "_function", "_name", "_owner", "_parameters")

    def __init__(self, function: Callable[..., object], owner: str, parameters: Mapping[str, Parameter]) -> None:
        self._function = function
        self._owner = owner
        self._name = getattr(function, "__name__", "the function")
        self._parameters = {n: p for n, p in parameters.items() if p.kind is not Parameter.VAR_KEYWORD}
        self._extras = next((p.name for p in parameters.values() if p.kind is Parameter.VAR_KEYWORD), None)
        self._codec = ValueCodec(self._hint, owner, root="")

    @classmethod
    def of(cls, function: Callable[..., object], owner: str) -> Signature:
        """The signature of a function; `owner` names it in messages.

        Raises:
            DefinitionError: it takes `*args`, which have no names to be written under, or has no signature.
        """
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError) as error:
            raise DefinitionError(
                f"{owner}: its parameters cannot be found out ({error}); write it in Python"
            ) from error
        for parameter in parameters.values():
            if parameter.kind is Parameter.VAR_POSITIONAL:
                raise DefinitionError(
                    f"{owner} takes *{parameter.name}, but a workflow's input is an object whose keys are argument"
                    f" names; take a list instead: `{parameter.name}: list[...]`"
                )
        return cls(function, owner, parameters)

    def encode(self, args: Sequence[object], kwargs: Mapping[str, object]) -> str:
        """The input that calls the function as `function(*args, **kwargs)` would.

        Raises:
            InputError: the function cannot be called so, or an argument has another type than its annotation.
            ValueNotStorable: an argument would not survive.
        """
        return self._write(self._bind(args, kwargs))

    def check(self, document: object) -> str:
        """The canonical input for a person's document: an object of arguments, None for no arguments.

        Conversions that pydantic makes from JSON are made here: `"12"` for an `int`, field aliases.

        Raises:
            InputError: it does not fit; the message names the argument.
        """
        if document is None:
            document = {}
        if not isinstance(document, Mapping):
            raise InputError(
                f"{self._owner}: input is an object whose keys are argument names, such as {self._sample()}; this is"
                f" {type(document).__name__}: {shorten(document)}"
            )
        self._check_names(document)
        if flaw := find_flaw(dict(document)):
            self._refuse(f"{placed('', str(flaw))} {flaw.why}")
        try:
            text = to_json(dict(document))
        except PydanticSerializationError as error:
            self._refuse(f"the input is no JSON: {error}", error)
        return self._write(self._read(text, lax=True))

    def decode(self, text: str | bytes) -> tuple[tuple[object, ...], dict[str, object]]:
        """The arguments to call the function with.

        Raises:
            InputError: the input does not fit the function, which may have changed since it was written; or it leaves
                out an argument whose default differs in each attempt.
        """
        values = self._read(text, lax=False)
        if self._codec.has_own_code:
            # Input of a manifest is stored as its author wrote it, so defaults are made when it is read.
            flaw = difference(values, self._read(text, lax=False), [])
            if flaw is not None:
                self._refuse(
                    f"{placed('', str(flaw))} is left out of the input, and its default is another value in each"
                    " attempt; give it in the input, or make it in a step"
                )
        return self._arranged(values)

    def _arranged(self, values: dict[str, object]) -> tuple[tuple[object, ...], dict[str, object]]:
        self._check_names(values)
        args: list[object] = []
        for name, parameter in self._parameters.items():
            if parameter.kind is not Parameter.POSITIONAL_ONLY:
                break
            args.append(values.pop(name) if name in values else parameter.default)
        return tuple(args), values

    def same(self, one: str, other: str) -> bool:
        """Whether two inputs call the function with equal arguments; the texts may differ (order of sets)."""
        if one == other:
            return True
        ours, theirs = (self._arranged(self._read(text, lax=False)) for text in (one, other))
        return difference(ours, theirs, []) is None

    def _hint(self) -> object:
        fields = {name: parameter_hint(self._function, name, self._owner) for name in self._parameters}
        if self._extras is None:
            return Arguments(fields)
        return Arguments(fields, takes_more=True, extras=parameter_hint(self._function, self._extras, self._owner))

    def _bind(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        names = [name for name, parameter in self._parameters.items() if parameter.kind in _POSITIONAL]
        if len(args) > len(names):
            raise InputError(
                f"{self._owner}: {self._name} takes {len(names)} positional arguments ({', '.join(names) or 'none'}),"
                f" {len(args)} were given"
            )
        given = dict(zip(names, args, strict=False))
        for name in kwargs:
            if name in given:
                raise InputError(f"{self._owner}: {name!r} is given twice, by position and by name")
            if name in self._parameters and self._parameters[name].kind is Parameter.POSITIONAL_ONLY:
                raise InputError(f"{self._owner}: {name!r} is a positional-only argument; give it by position")
        given.update(kwargs)
        self._check_names(given)
        ordered = {name: given.pop(name) for name in self._parameters if name in given}
        return ordered | dict(sorted(given.items()))

    def _check_names(self, given: Mapping[typing.Any, object]) -> None:
        for name in given:
            if not isinstance(name, str):
                raise InputError(f"{self._owner}: the key {shorten(name)} is no argument name; names are text")
            if name not in self._parameters and self._extras is None:
                close = difflib.get_close_matches(name, self._parameters, n=1)
                raise InputError(
                    f"{self._owner}: {shorten(name)} is no argument of {self._name}; it takes"
                    f" {', '.join(self._parameters) or 'no arguments'}"
                    + (f"; did you mean {close[0]!r}?" if close else "")
                )
        missing = [n for n, p in self._parameters.items() if p.default is Parameter.empty and n not in given]
        if missing:
            names = " and ".join(repr(name) for name in missing)
            raise InputError(
                f"{self._owner}: {names} {'is' if len(missing) == 1 else 'are'} missing; {self._name} takes"
                f" {', '.join(self._parameters)}"
            )

    def _write(self, values: Mapping[str, object]) -> str:
        ordered = {name: values[name] for name in self._parameters if name in values}
        extras = {name: values[name] for name in sorted(values) if name not in ordered}
        try:
            return self._codec.encode(ordered | extras)[0]
        except ValueNotStorable as error:
            if isinstance(error.__cause__, ValidationError):
                self._refuse(explain(error.__cause__, values, ""), error.__cause__)
            raise

    def _read(self, text: str | bytes, *, lax: bool) -> dict[str, object]:
        try:
            found = from_json(text, allow_inf_nan=False)
        except ValueError as error:
            self._refuse(f"the input is no JSON: {error}", error)
        if not isinstance(found, dict):
            self._refuse(f"input is an object whose keys are argument names; this is {shorten(found)}")
        self._check_names(found)
        try:
            return typing.cast("dict[str, object]", self._codec.read(text, lax=lax))
        except DefinitionError:
            raise
        except Exception as error:  # noqa: BLE001 - validators of the user's types raise any error
            self._refuse(self._codec.explain(error, text), error)

    def _refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        raise InputError(f"{self._owner}: {why}") from cause

    def _sample(self) -> str:
        return "{" + ", ".join(f'"{name}": ...' for name in list(self._parameters)[:3]) + "}"
