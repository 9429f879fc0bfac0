"""The tree of errors: what a program handles together, what ends attempts, and what travels between processes."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from perdure import errors
from perdure.errors import (
    ControlSignal,
    DeadlineExceeded,
    NondeterminismError,
    PerdureError,
    ResultTimeout,
    RunError,
    RunNotFound,
    RunStopped,
    StepError,
    StepTimeout,
    StoreError,
    StoreUnavailable,
    Superseded,
)

ALL = [one for _, one in inspect.getmembers(errors, inspect.isclass) if one.__module__ == errors.__name__]


def test_every_one_is_an_error_or_a_signal_and_never_both() -> None:
    for one in ALL:
        assert issubclass(one, PerdureError) is not issubclass(one, ControlSignal), one


def test_signals_pass_every_except_exception() -> None:
    signals = [one for one in ALL if issubclass(one, ControlSignal)]
    assert Superseded in signals
    assert not [one for one in signals if issubclass(one, Exception)]


def test_every_one_is_public() -> None:
    assert {one.__name__ for one in ALL} == set(errors.__all__)


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (StepTimeout, TimeoutError),
        (ResultTimeout, TimeoutError),
        (RunNotFound, LookupError),
        (DeadlineExceeded, RunError),
        (StoreUnavailable, StoreError),
    ],
)
def test_programs_may_handle_them_as_what_they_know(kind: type[BaseException], base: type[BaseException]) -> None:
    assert issubclass(kind, base)


@pytest.mark.parametrize(("message", "text"), [("no", "a:B: no"), ("", "a:B")])
def test_a_step_error_says_what_was_raised(message: str, text: str) -> None:
    assert str(StepError(message, type="a:B")) == text


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_step_error_can_be_copied_and_pickled(again: object) -> None:
    made = again(StepError("no", type="a:B", traceback="Traceback: x"))  # type: ignore[operator]
    assert (made.type, made.message, made.traceback, str(made)) == ("a:B", "no", "Traceback: x", "a:B: no")


def test_a_run_that_is_stopped_has_its_error() -> None:
    error = NondeterminismError("another step")
    stopped = RunStopped(error)
    assert stopped.error is error
    assert str(stopped) == "another step"
