"""An exception is recorded with all that hangs on it, within limits, and whatever its own code does."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from perdure.errors import StepError
from perdure.serialization.codec import ValueCodec
from perdure.serialization.failures.failure import Failure
from perdure.serialization.failures.recorder import MAX_BYTES, MAX_TEXT, RECORDED, record, spelling_of, text_of


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Hostile(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


def raised_by(function: Any) -> BaseException:
    with contextlib.suppress(BaseException):
        function()
        raise AssertionError
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError


def test_frames_of_the_library_are_left_out() -> None:
    error = raised_by(lambda: ValueCodec.for_hint(int, "step 's'").encode("x"))
    failure = record(error)
    assert "codec.py" not in failure.traceback
    assert "test_recorder" in failure.traceback


def test_long_text_is_cut_in_the_middle() -> None:
    failure = record(ValueError("a" * 100_000 + "b" * 100_000))
    assert len(failure.message) <= MAX_TEXT
    assert failure.message.startswith("aaa")
    assert failure.message.endswith("bbb")
    assert "200000 characters" in failure.message


def test_it_has_class_text_arguments_and_attributes() -> None:
    error = OSError(2, "gone", "/a")
    error.seen = [1, {"a": None}]  # type: ignore[attr-defined]
    failure = record(error)
    assert (failure.type, failure.message) == ("builtins:FileNotFoundError", str(error))
    assert failure.args == (2, "gone")
    assert failure.attributes["seen"] == [1, {"a": None}]
    assert failure.lost == {}


def test_what_is_no_plain_data_is_named_as_lost() -> None:
    error = ValueError("x", object())
    error.thing = object()  # type: ignore[attr-defined]
    failure = record(error)
    assert failure.args is not None
    assert failure.args[0] == "x"
    assert failure.lost == {"thing": "object"}


def test_causes_contexts_and_members() -> None:
    def fail() -> None:
        try:
            raise KeyError("k")
        except KeyError as cause:
            raise ExceptionGroup("both", [ValueError("v"), OSError("o")]) from cause

    failure = record(raised_by(fail))
    assert failure.cause is not None
    assert failure.cause.type == "builtins:KeyError"
    assert failure.context is failure.cause
    assert [one.type for one in failure.exceptions] == ["builtins:ValueError", "builtins:OSError"]


def test_one_that_has_itself_as_its_cause_ends() -> None:
    error, other = ValueError("x"), KeyError("k")
    error.__cause__, other.__cause__ = other, error
    failure = record(error)
    assert failure.cause is not None
    assert failure.cause.cause is None


@pytest.mark.parametrize("kind", [Silent, Hostile])
def test_code_of_the_exception_stops_nothing(kind: type[Exception]) -> None:
    failure = record(kind("x"))
    assert failure.type == f"{__name__}:{kind.__name__}"
    assert Failure.from_json(failure.to_json()) == failure


def test_text_and_spelling_are_none_where_they_raise() -> None:
    assert text_of(Silent(), 10) is None
    assert spelling_of(Silent(), 10) is None
    assert text_of(ValueError("a\0b"), 10) not in (None, "a\0b")
    assert len(text_of(ValueError("a" * 1000), 100) or "") <= 100


def test_large_arguments_fit() -> None:
    failure = record(ValueError(*(["x" * MAX_TEXT] * 40)))
    assert len(failure.to_json()) <= MAX_BYTES


def test_notes_are_kept_and_our_own_are_not_noted_again() -> None:
    error = ValueError("x")
    for note in ("seen", "a StepError stands for it: because", RECORDED + "Traceback: y"):
        error.add_note(note)
    failure = record(error)
    assert failure.notes == ("seen",)
    assert failure.traceback == "Traceback: y"


def test_a_step_error_is_recorded_as_what_it_stands_for() -> None:
    first = Failure("nowhere:X", "m")
    error = first.revive()
    assert isinstance(error, StepError)
    assert record(error) == first
