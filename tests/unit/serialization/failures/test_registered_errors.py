"""An application says how its exceptions travel; pydantic's travel already."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError, field_validator
from pydantic_core import PydanticCustomError

import perdure
from perdure.errors import StepError
from perdure.serialization.failures.failure import Failure
from perdure.serialization.failures.not_kept import NotKept
from perdure.serialization.failures.registered_errors import travel_of
from tests.harness.replayed import caught


class Response:
    status_code = 404

    def __repr__(self) -> str:
        return "<Response [404]>"


class Order(BaseModel):
    lines: list[int]
    kind: str

    @field_validator("kind")
    @classmethod
    def known(cls, kind: str) -> str:
        if kind != "known":
            raise ValueError(f"kind {kind} is unknown")
        return kind


class Told(Exception):
    def __init__(self, response: Response) -> None:
        super().__init__("told")
        self.response = response


class ToldMore(Told):
    pass


def invalid() -> None:
    Order.model_validate({"lines": ["x", 2, object()], "kind": "new"})


def at_no_place(seen: Any) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", repr(seen))


def told() -> None:
    raise Told(Response())


def test_an_application_says_how_its_exception_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.serialization.failures.registered_errors._registered", {})

    def read(data: dict[str, int]) -> Told:
        made = Told(Response())
        made.response.status_code = data["status"]
        return made

    perdure.register_error(Told, lambda error: {"status": error.response.status_code + 1}, read)
    error = caught(told)

    assert type(error) is Told
    assert error.response.status_code == 405


@pytest.mark.parametrize(
    ("to_data", "from_data", "why"),
    [
        (lambda _: 1 / 0, lambda _: Told(Response()), "ZeroDivisionError"),
        (lambda _: object(), lambda _: Told(Response()), "object is no plain data"),
        (lambda _: 1, lambda _: 1 / 0, "raised ZeroDivisionError"),
        (lambda _: 1, lambda _: ValueError(), "gave a ValueError"),
    ],
)
def test_a_registration_that_does_not_work_is_said(
    monkeypatch: pytest.MonkeyPatch, to_data: Any, from_data: Any, why: str
) -> None:
    monkeypatch.setattr("perdure.serialization.failures.registered_errors._registered", {})
    perdure.register_error(Told, to_data, from_data)
    error = caught(told)

    assert isinstance(error, Told | StepError)
    assert any(why in note for note in error.__notes__)


def test_only_classes_and_functions_are_registered() -> None:
    for arguments in ((int, str, str), (Told, None, str), (Told, str, None)):
        with pytest.raises(perdure.PerdureError, match="register_error"):
            perdure.register_error(*arguments)


def test_a_validation_error_is_one() -> None:
    try:
        invalid()
    except ValidationError as raised:
        plain = raised
    error = caught(invalid)

    assert type(error) is ValidationError
    assert (error.title, error.error_count(), error.args) == ("Order", 3, ())
    assert at_no_place(error.errors()) == at_no_place(plain.errors())
    assert error.errors()[0] == plain.errors()[0]
    assert isinstance(error.errors()[1]["input"], NotKept)
    assert at_no_place(str(error)) == at_no_place(str(plain))


def test_a_subclass_is_a_class_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.serialization.failures.registered_errors._registered", {})
    perdure.register_error(Told, lambda _: 1, lambda _: Told(Response()))
    assert travel_of(Told) is not None
    assert travel_of(ToldMore) is None


class Even(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def even(cls, n: int) -> int:
        if n % 2:
            raise PydanticCustomError("odd", "{n} is odd", {"n": n})
        return n


def test_an_applications_own_type_of_validation_error_keeps_its_text() -> None:
    with pytest.raises(ValidationError) as raised:
        Even.model_validate_json('{"n": 3}')
    revived = Failure.of(raised.value).revive()
    assert isinstance(revived, ValidationError)
    assert str(revived) == str(raised.value)
    assert revived.errors()[0]["type"] == "odd"


def test_a_large_input_of_a_validation_error_is_not_kept() -> None:
    with pytest.raises(ValidationError) as raised:
        Even.model_validate({"n": "x" * 10_000})
    revived = Failure.of(raised.value).revive()
    assert isinstance(revived, ValidationError)
    assert isinstance(revived.errors()[0]["input"], NotKept)
