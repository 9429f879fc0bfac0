"""Rebuilding an exception from its `Failure`: the same on first execution as on every replay."""

from __future__ import annotations

import typing

from ...errors import ControlSignal, StepError
from ..class_names import find_type
from .exception_data import from_plain
from .exception_state import assemble, peek, put
from .failure import Failure
from .not_kept import History, class_without, remember
from .recorder import MAX_TEXT, RECORDED, STANDS_FOR, spelling_of, text_of
from .registered_errors import travel_of

__all__ = ["revive"]


def revive(failure: Failure) -> BaseException:
    """The exception to raise for a failure, its recorded traceback in a note."""
    notes = list(failure.notes)
    try:
        error = _rebuilt(failure)
    except _Unknown as reason:
        error = _step_error(failure)
        notes.append(f"{STANDS_FOR}{reason}")
    cause = None if failure.cause is None else revive(failure.cause)
    put(error, "__cause__", cause)
    if failure.context is not None:
        put(error, "__context__", cause if failure.context is failure.cause else revive(failure.context))
    put(error, "__suppress_context__", failure.suppress_context)
    if failure.traceback:
        notes.append(RECORDED + failure.traceback)
    if notes:
        peek(error, "__dict__")["__notes__"] = notes
    return error


class _Unknown(Exception):
    """The reason why an exception cannot be raised as its own class."""


def _rebuilt(failure: Failure) -> BaseException:
    """The exception itself.

    Raises:
        _Unknown: it would not be one of its class.
    """
    found = find_type(failure.type)
    if found is None:
        where = "defined inside of a function" if "<locals>" in failure.type else "not to be imported here by its name"
        raise _Unknown(f"{failure.type} is {where}; a class at the top of its module is found again")
    if not issubclass(found, BaseException) or issubclass(found, ControlSignal):
        raise _Unknown(f"{failure.type} is no error of a step")
    kind: type[BaseException] = found
    if failure.data is not None:
        return _registered(kind, failure)
    if failure.reduced is not None:
        args, state = failure.reduced
        try:
            error = kind(*typing.cast("typing.Any", from_plain(args)))
            error.__setstate__(typing.cast("dict[str, typing.Any]", from_plain(state)))
        except Exception as problem:
            raise _Unknown(f"its class does not take what its __reduce__ gave: {problem}") from problem
        return error
    if failure.args is None:
        raise _Unknown("it could not be looked into")
    return _assembled(kind, failure)


def _assembled(kind: type[BaseException], failure: Failure) -> BaseException:
    members = [[revive(one) for one in failure.exceptions]] if issubclass(kind, BaseExceptionGroup) else []
    history = History(failure.lost)
    try:
        args = [*map(from_plain, failure.args or ()), *members]
        attributes = {name: from_plain(plain) for name, plain in failure.attributes.items()}
        error = assemble(class_without(kind, history), args, attributes)
        remember(error, history)
        # The recorded text counts, even if the rebuilt exception makes another.
        if text_of(error, MAX_TEXT) != failure.message:
            history = History(history.lost, failure.message)
        if failure.spelled is not None and spelling_of(error, MAX_TEXT) != failure.spelled:
            history = History(history.lost, history.text, failure.spelled)
        if history.text is not None or history.spelled is not None:
            error = assemble(class_without(kind, history), args, attributes)
            remember(error, history)
    except Exception as problem:  # any class may refuse in any way to be made so
        raise _Unknown(f"{failure.type} cannot be made from its arguments ({type(problem).__name__})") from problem
    return error


def _registered(kind: type[BaseException], failure: Failure) -> BaseException:
    travel = travel_of(kind)
    if travel is None:
        raise _Unknown(f"how {failure.type} travels is not registered here (perdure.register_error), and was elsewhere")
    try:
        error = travel.from_data(from_plain(failure.data))
    except Exception as problem:
        raise _Unknown(
            f"the function that is registered for {failure.type} raised {type(problem).__name__}: {problem}"
        ) from problem
    if type(error) is not kind:
        raise _Unknown(f"the function that is registered for {failure.type} gave a {type(error).__name__}")
    return error


def _step_error(failure: Failure) -> StepError:
    error = StepError(failure.message, type=failure.type, traceback=failure.traceback)
    # For the recorder: it records a StepError as the failure that it stands for.
    error.__dict__["_failure"] = failure
    return error
