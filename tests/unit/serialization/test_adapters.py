"""What reads and writes the values of a hint: without pydantic for plain types, by it for all others."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import BaseModel, Field, ValidationError

from perdure.errors import DefinitionError
from perdure.serialization.adapters import Arguments, machinery


@dataclass
class Point:
    x: int


class Model(BaseModel):
    data: bytes


class Row(TypedDict):
    id: int


class Unreadable:
    pass


def through(hint: object, value: object) -> Any:
    made = machinery(hint, "step 's'")
    return made.read(made.write(value))


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, 3),
        (str, "é"),
        (None, None),
        (list[int], [1]),
        (dict[str, list[bool]], {"a": [True]}),
        (float | None, None),
        (int | str | None, "3"),
        (Any, {"a": [1, None]}),
    ],
    ids=str,
)
def test_plain_types_are_read_without_code_of_the_users(hint: object, value: object) -> None:
    assert machinery(hint, "x").is_plain
    assert through(hint, value) == value


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Point, Point(3)),
        (list[Point], [Point(3)]),
        (Row, {"id": 3}),
        (bytes, b"\x00\xff"),
        (dict[int, str], {3: "a"}),
        (tuple[int, str], (3, "a")),
        (Annotated[int, Field(ge=0)], 3),
    ],
    ids=str,
)
def test_others_are_read_by_pydantic(hint: object, value: object) -> None:
    assert not machinery(hint, "x").is_plain
    assert through(hint, value) == value


def test_what_does_not_fit_is_refused() -> None:
    for hint, text in ((int, '"x"'), (Point, '{"x": "y"}'), (Annotated[int, Field(ge=0)], "-1"), (Row, "{}")):
        with pytest.raises(ValidationError):
            machinery(hint, "x").read(text)


@pytest.mark.parametrize("hint", [Unreadable, list[Unreadable]])
def test_a_hint_that_cannot_be_read_is_named_with_its_owner(hint: object) -> None:
    with pytest.raises(DefinitionError, match=r"^step 's': values of type .*Unreadable.* cannot be read from JSON"):
        machinery(hint, "step 's'")


def test_arguments_are_read_by_name() -> None:
    made = machinery(Arguments({"a": int, "b": Point}), "x")
    assert made.read('{"a": 1, "b": {"x": 2}}') == {"a": 1, "b": Point(2)}
    assert made.read("{}") == {}
    with pytest.raises(ValidationError, match="c"):
        made.read('{"c": 1}')


@pytest.mark.parametrize("fields", [{"a": int}, {"a": Point}])
def test_further_arguments_have_a_hint_of_their_own(fields: dict[str, object]) -> None:
    made = machinery(Arguments(fields, takes_more=True, extras=list[int]), "x")
    assert made.read('{"more": [1]}') == {"more": [1]}
    with pytest.raises(ValidationError):
        made.read('{"more": "text"}')


def test_bytes_of_arguments_are_any_bytes() -> None:
    made = machinery(Arguments({"data": bytes}), "x")
    assert made.read(made.write({"data": b"\xff\x00"})) == {"data": b"\xff\x00"}


def test_a_hint_promises_a_type_for_each_place_or_not() -> None:
    one = Point(1)
    assert machinery(list[Point], "x").promises([one], [one])
    assert not machinery(list[Any], "x").promises([one], [one])
    assert machinery(list[Any], "x").promises([3], [one])


def test_plain_values_need_no_pydantic() -> None:
    code = (
        "import sys; from perdure.serialization.adapters import machinery;"
        " machinery(dict[str, int | None], 'x').read('{}'); print('pydantic.main' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
