"""Fields of a model that were not set are known from the JSON, in each model of a value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, RootModel, TypeAdapter
from pydantic_core import SchemaValidator, to_json

from perdure.serialization.unset_fields import reading_unset_fields, unset_fields, with_unset_fields


class Line(BaseModel):
    name: str
    count: int = 1


class Order(BaseModel):
    lines: list[Line] = []
    by_name: dict[str, Line] = {}
    note: str | None = None


class Lines(RootModel[list[Line]]):
    pass


def reader(model: type[BaseModel]) -> SchemaValidator:
    # Models within bring what they were built with, which does not read the key.
    return SchemaValidator(reading_unset_fields(TypeAdapter(model).core_schema), _use_prebuilt=False)


def test_the_unset_fields_of_a_model_are_those_nobody_gave() -> None:
    assert unset_fields(Line(name="a")) == ["count"]
    assert unset_fields(Line(name="a", count=1)) == []


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Line(name="a"), {"name": "a", "count": 1, "$unset": ["count"]}),
        (Line(name="a", count=1), {"name": "a", "count": 1}),
        ([Line(name="a"), 3], [{"name": "a", "count": 1, "$unset": ["count"]}, 3]),
        ({"k": (Line(name="a"),)}, {"k": [{"name": "a", "count": 1, "$unset": ["count"]}]}),
        (Lines([Line(name="a")]), [{"name": "a", "count": 1, "$unset": ["count"]}]),
    ],
)
def test_they_are_written_beside_the_others(value: Any, written: Any) -> None:
    assert json.loads(with_unset_fields(value, to_json(value))) == written


def test_models_within_models_have_their_own() -> None:
    order = Order(lines=[Line(name="a")], by_name={"b": Line(name="b", count=2)})
    found = json.loads(with_unset_fields(order, to_json(order)))
    assert found["$unset"] == ["note"]
    assert found["lines"][0]["$unset"] == ["count"]
    assert "$unset" not in found["by_name"]["b"]


def test_what_a_serializer_wrote_in_a_form_of_its_own_is_left_alone() -> None:
    assert with_unset_fields([Line(name="a")], b'"one line"') == b'"one line"'
    assert with_unset_fields([Line(name="a")], b"[1,2]") == b"[1,2]"


@pytest.mark.parametrize(
    "value", [Order(lines=[Line(name="a")]), Order(note=None), Order(by_name={"x": Line(name="x")})]
)
def test_what_is_read_back_has_the_same_fields_set(value: Order) -> None:
    again = reader(Order).validate_json(with_unset_fields(value, to_json(value)))
    assert again == value
    assert again.model_fields_set == value.model_fields_set
    assert [line.model_fields_set for line in again.lines] == [line.model_fields_set for line in value.lines]


def test_json_without_the_key_is_read_as_if_all_were_set_that_are_there() -> None:
    assert reader(Line).validate_json('{"name": "a"}').model_fields_set == {"name"}
