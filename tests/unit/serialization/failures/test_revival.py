"""An exception is rebuilt from its record without its constructor; else a StepError stands for it and says why."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.errors import StepError, Superseded
from perdure.serialization.failures import registered_errors
from perdure.serialization.failures.failure import Failure
from perdure.serialization.failures.recorder import RECORDED, STANDS_FOR
from perdure.serialization.failures.revival import revive


class Picky(Exception):
    made = 0

    def __init__(self, code: int, *, why: str) -> None:
        type(self).made += 1
        super().__init__(code, why)
        self.why = why


def reason(error: BaseException) -> str:
    [note] = [note for note in error.__notes__ if note.startswith(STANDS_FOR)]
    return note.removeprefix(STANDS_FOR)


def test_the_constructor_is_not_run() -> None:
    failure = Failure(f"{__name__}:Picky", "(3, 'x')", args=(3, "x"), attributes={"why": "x"})
    error: Any = revive(failure)
    assert type(error) is Picky
    assert (error.args, error.why, Picky.made) == ((3, "x"), "x", 0)


@pytest.mark.parametrize(
    "name", ["builtins:print", "os:system", "nowhere.at.all:X", "", "a", "builtins:int", ":", "a:b:c"]
)
def test_only_exceptions_are_made(name: str) -> None:
    revived = Failure(name, "m", args=("true",)).revive()
    assert isinstance(revived, StepError)
    assert revived.message == "m"


def test_a_text_that_changed_is_the_recorded_one() -> None:
    revived = Failure("builtins:ValueError", "other", args=("m",)).revive()
    assert isinstance(revived, ValueError)
    assert str(revived) == "other"


@pytest.mark.parametrize(
    ("failure", "why"),
    [
        (Failure("nowhere:X", "m", args=()), "nowhere:X is not to be imported here by its name"),
        (Failure("a:f.<locals>.X", "m", args=()), "defined inside of a function"),
        (Failure("builtins:int", "m", args=()), "builtins:int is no error of a step"),
        (Failure("perdure.errors:Superseded", "m", args=()), "is no error of a step"),
        (Failure("builtins:ValueError", "m", args=None), "it could not be looked into"),
        (Failure("builtins:KeyError", "m", args=(), data=3), "is not registered here (perdure.register_error)"),
        (Failure("builtins:ValueError", "m", args=({"$": "later", "v": 1},)), "cannot be made from its arguments"),
        (Failure("builtins:UnicodeDecodeError", "m", args=("x",)), "cannot be made from its arguments (TypeError)"),
    ],
)
def test_a_step_error_says_why_it_stands_for_another(failure: Failure, why: str) -> None:
    error = revive(failure)
    assert isinstance(error, StepError)
    assert not isinstance(error, Superseded)
    assert (error.type, error.message) == (failure.type, "m")
    assert why in reason(error)


@pytest.mark.parametrize(
    ("from_data", "why"),
    [
        (KeyError, None),
        (lambda _: 1 / 0, "raised ZeroDivisionError"),
        (lambda _: ValueError(), "gave a ValueError"),
    ],
)
def test_a_registered_function_makes_it(monkeypatch: pytest.MonkeyPatch, from_data: Any, why: str | None) -> None:
    monkeypatch.setattr(registered_errors, "_registered", {})
    registered_errors.register_error(KeyError, str, from_data)
    error = revive(Failure("builtins:KeyError", "m", args=None, data="k"))
    if why is None:
        assert repr(error) == "KeyError('k')"
    else:
        assert why in reason(error)


def test_what_led_to_it_comes_with_it() -> None:
    cause = Failure("builtins:KeyError", "'k'", args=("k",))
    other = Failure("builtins:OSError", "o", args=("o",))
    failure = Failure("builtins:ValueError", "m", args=("m",), cause=cause, context=other, suppress_context=True)
    error = revive(failure)
    assert (repr(error.__cause__), repr(error.__context__), error.__suppress_context__) == (
        "KeyError('k')", "OSError('o')", True,
    )  # fmt: skip


def test_a_group_has_its_members() -> None:
    members = (Failure("builtins:KeyError", "'k'", args=("k",)), Failure("nowhere:X", "m"))
    error = revive(Failure("builtins:ExceptionGroup", "many (2 sub-exceptions)", args=("many",), exceptions=members))
    assert isinstance(error, ExceptionGroup)
    assert [type(one) for one in error.exceptions] == [KeyError, StepError]


def test_notes_and_the_traceback_are_notes() -> None:
    error = revive(Failure("builtins:ValueError", "m", args=("m",), notes=("seen",), traceback="Traceback: x"))
    assert error.__notes__ == ["seen", RECORDED + "Traceback: x"]
    assert not hasattr(revive(Failure("builtins:ValueError", "m", args=("m",))), "__notes__")
