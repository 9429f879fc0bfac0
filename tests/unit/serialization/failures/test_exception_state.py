"""Exceptions are taken apart and put together without running code of their classes."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.serialization.failures.exception_state import (
    HISTORY,
    assemble,
    attributes_of,
    interpreter_attributes,
    members_of,
    peek,
    put,
)


class Guarded(Exception):
    """Whose every method must not be called."""

    def __init__(self, *, reason: str) -> None:
        raise AssertionError(f"its constructor ran: {reason}")

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"its code ran for {name}")

    @property
    def args(self) -> Any:  # type: ignore[override]
        raise AssertionError("its property ran")


class Slotted(Exception):
    __slots__ = ("code", "unset")
    code: int
    unset: int


class Odd(Exception):
    def __new__(cls, *args: object) -> Any:
        return ValueError(*args)


class Both(OSError, ValueError):
    pass


def test_one_is_made_and_read_without_its_own_code() -> None:
    error = assemble(Guarded, ("a", 1), {"where": "here"})
    assert type(error) is Guarded
    assert peek(error, "args") == ("a", 1)
    assert dict(attributes_of(error)) == {"where": "here"}


def test_what_the_interpreter_keeps_is_set_past_the_class() -> None:
    error = assemble(Guarded, (), {})
    cause = ValueError("why")
    put(error, "__cause__", cause)
    assert peek(error, "__cause__") is cause


def test_slots_are_attributes_where_they_are_assigned() -> None:
    error = assemble(Slotted, (), {"code": 7})
    assert dict(attributes_of(error)) == {"code": 7}
    assert isinstance(error, Slotted)
    assert error.code == 7


def test_notes_and_what_is_ours_are_no_attributes() -> None:
    error = ValueError("bad")
    error.add_note("a note")
    error.__dict__[HISTORY] = object()
    error.__dict__["own"] = 1
    assert dict(attributes_of(error)) == {"own": 1}


def test_what_built_in_bases_keep_is_read_and_set() -> None:
    error = FileNotFoundError(2, "No such file", "/tmp/x")
    kept = dict(interpreter_attributes(error))
    assert kept["errno"] == 2
    assert kept["filename"] == "/tmp/x"
    again = assemble(FileNotFoundError, (), {"errno": 2, "filename": "/tmp/x"})
    assert isinstance(again, FileNotFoundError)
    assert (again.errno, again.filename) == (2, "/tmp/x")
    assert "errno" not in peek(again, "__dict__")


def test_an_exception_without_such_a_base_has_none() -> None:
    assert dict(interpreter_attributes(KeyError("x"))) == {}


def test_the_constructor_is_that_of_the_first_built_in_base() -> None:
    error = assemble(Both, (13, "denied"), {})
    assert isinstance(error, Both)
    assert error.errno == 13


def test_members_are_those_of_groups() -> None:
    one = ValueError()
    assert members_of(ExceptionGroup("two", [one])) == (one,)
    assert members_of(one) == ()


def test_a_class_that_makes_another_is_passed_over_or_refused() -> None:
    assert type(assemble(Odd, ("x",), {})) is Odd
    with pytest.raises(TypeError):
        assemble(ExceptionGroup, ("without members",), {})
