"""How the canonical form writes instances of each class, past the class's own code."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import re
import uuid
import zoneinfo
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pydantic
import pytest

from perdure.serialization.canonical.classes import writer_of
from perdure.serialization.canonical.walk import Walk


def text(value: object) -> str:
    """By the writer of the value's class alone."""
    return writer_of(type(value))(Walk(), value)


@dataclass
class Order:
    id: int
    items: list[str] = field(default_factory=list)
    cache: dict[str, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float = 0.0


class Pair(NamedTuple):
    left: int
    right: int = 0


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    name: str
    size: int = 1


class Colour(enum.Enum):
    RED = 1


class Amount(int):
    pass


class Names(list[str]):
    def __iter__(self) -> Any:
        raise AssertionError("code of the class")


class Opaque:
    pass


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Order(1, ["a"]), "Order"),
        (Point(1.0), "Point"),
        (Pair(1), "Pair"),
        (Model(name="a"), "Model"),
        (Colour.RED, "Colour(1)"),
        (Amount(3), "Amount(3)"),
        (Names(["a"]), "Names['a']"),
        (ValueError("no", 3), "ValueError"),
        (Opaque(), "<Opaque>"),
        (datetime.date(2026, 1, 31), "date(2026-01-31)"),
        (datetime.timedelta(days=1, seconds=2), "timedelta(1 2 0)"),
        (zoneinfo.ZoneInfo("Europe/Berlin"), "ZoneInfo(Europe/Berlin)"),
        (fractions.Fraction(1, 3), "Fraction(1 3)"),
        (uuid.UUID(int=1), f"UUID({1:032x})"),
        (pathlib.PurePosixPath("/a"), "Path('/a')"),
        (ipaddress.IPv4Address("0.0.0.1"), "IPv4Address(1)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_class_has_its_name_and_what_its_instances_hold(value: object, written: str) -> None:
    assert text(value).startswith(written)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Order(1), Order(2)),
        (Point(1.0), Point(1.0, 2.0)),
        (Pair(1), Pair(1, 2)),
        (Model(name="a"), Model.model_validate({"name": "a", "more": 1})),
        (ValueError("a"), ValueError("b")),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
        (datetime.time(1, tzinfo=datetime.UTC), datetime.time(1)),
        (re.compile("a"), re.compile("a", re.IGNORECASE)),
        (range(3), range(0, 3, 2)),
        (np.array([1], dtype="int32"), np.array([1], dtype="int64")),
        (np.array([[1, 2]]), np.array([1, 2])),
        (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_differs_in_one_thing_differs_in_its_text(one: object, other: object) -> None:
    assert text(one) != text(other)


def test_a_default_is_no_difference() -> None:
    assert text(Order(1)) == text(Order(1, items=[]))
    assert text(Point(1.0)) == text(Point(1.0, 0.0))
    assert text(Pair(1)) == text(Pair(1, 0))
    assert text(Model(name="a")) == text(Model(name="a", size=1))


def test_an_array_of_objects_counts_by_its_shape() -> None:
    assert text(np.array([object(), None])) == "<ndarray (2,)>"


def test_fields_that_have_their_default_are_left_out() -> None:
    @dataclass
    class Before:
        id: int

    Before.__qualname__ = "Order"
    assert text(Before(1)) == text(Order(1)), "a field with a default was added since"
    assert text(Order(1, cache={"a": 1})) == text(Order(1)), "compare=False"


def test_what_is_worked_out_on_demand_does_not_count() -> None:
    @dataclass
    class Parcel:
        weight: int

        @cached_property
        def price(self) -> int:
            return self.weight * 2

    class Priced(pydantic.BaseModel):
        weight: int

        @cached_property
        def price(self) -> int:
            return self.weight * 2

    for parcel in (Parcel(2), Priced(weight=2)):
        before = text(parcel)
        assert parcel.price == 4
        assert text(parcel) == before


def test_a_field_that_cannot_be_read_stops_nothing() -> None:
    class Broken:
        __dataclass_fields__ = property(lambda self: 1 / 0)

    assert Walk().text([Broken(), object()]) == "[<Broken>, <object>]"


def test_secrets_and_addresses_of_pydantic_count() -> None:
    assert text(pydantic.SecretStr("a")) != text(pydantic.SecretStr("b"))
    assert text(pydantic.HttpUrl("http://a")) != text(pydantic.HttpUrl("http://b"))


def test_an_object_of_an_orm_counts_by_its_name() -> None:
    order = Order(1)
    order.__dict__["_sa_instance_state"] = object()
    before = text(order)
    del order.__dict__["id"], order.__dict__["items"]  # as an ORM forgets what it would load again
    assert text(order) == before == "<Order>"
