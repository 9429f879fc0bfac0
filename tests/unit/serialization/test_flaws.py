"""What no JSON in Postgres can hold is found in a value, with its place and what to do about it."""

from __future__ import annotations

import collections
import dataclasses
import threading
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from perdure.serialization.flaws import (
    MAX_DEPTH,
    MAX_DIGITS,
    a_kind,
    find_flaw,
    find_unwritable,
    is_data,
    locate,
    shorten,
)


class Point(NamedTuple):
    x: Any
    y: Any


@dataclasses.dataclass
class Parcel:
    content: Any


class Order(BaseModel):
    total: Any


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "place", "why"),
    [
        (float("nan"), "", "is nan"),
        ([1, float("inf")], "[1]", "is inf"),
        ({"a": {"b": ["x", "y\x00"]}}, "['a']['b'][1]", "NUL character (U+0000) at index 1"),
        ({"k\ud800": 1}, ".keys['k\\ud800']", "lone surrogate"),
        (Point(1, -(10**MAX_DIGITS)), ".y", "more than 4300 digits"),
        (Parcel({3: float("-inf")}), ".content[3]", "is -inf"),
        (Order(total=("a", float("nan"))), ".total[1]", "is nan"),
        (collections.deque([float("nan")]), "[0]", "is nan"),
    ],
)
def test_a_flaw_is_found_with_its_place(value: Any, place: str, why: str) -> None:
    found = find_flaw(value)
    assert found is not None
    assert str(found) == place
    assert why in found.why


@pytest.mark.parametrize(
    "value", [None, 0, -7, 1.5, "Grüße", [1, {"a": (2, {3})}], 10**MAX_DIGITS - 1, nested(MAX_DEPTH), object()]
)
def test_other_values_have_none(value: Any) -> None:
    assert find_flaw(value) is None


def test_what_is_nested_too_deep_is_told_from_what_contains_itself() -> None:
    deep = find_flaw(nested(MAX_DEPTH + 1))
    assert deep is not None
    assert "nested deeper than 200 levels" in deep.why
    own: dict[str, Any] = {"a": []}
    own["a"].append(own)
    found = find_flaw({"root": own})
    assert found is not None
    assert "contains itself" in found.why
    assert str(found) == "['root']"


def test_what_pydantic_cannot_write_is_found_by_what_it_says() -> None:
    lock = threading.Lock()
    found = find_unwritable({"locks": [object(), lock]}, f"Unable to serialize unknown type: {type(lock)!r}")
    assert found is not None
    assert str(found) == "['locks'][1]"
    assert "has no JSON form" in found.why
    text = find_unwritable({"raw": b"\xff"}, "invalid utf-8 sequence")
    assert text is not None
    assert "ser_json_bytes='base64'" in text.why


def test_data_is_told_from_objects() -> None:
    assert all(map(is_data, [None, 1, b"", [object()], Parcel(1), Order(total=1)]))
    assert not is_data(threading.Lock())
    assert not is_data(Parcel)


def test_a_kind_has_its_article() -> None:
    assert [a_kind(kind) for kind in (int, str, object, type(None))] == ["an int", "a str", "an object", "None"]


def test_a_representation_is_short_and_no_accident() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    assert shorten(Broken()) == "<Broken>"
    assert shorten("x" * 1000) == "'" + "x" * 56 + "..."
    assert len(shorten(list(range(1000)), 20)) == 20


def test_a_place_follows_what_is_there_and_leaves_out_members_of_unions() -> None:
    value = {"orders": [Order(total={"sum": 1})]}
    assert locate(value, ("orders", 0, "Order", "total", "sum")) == ("['orders'][0].total['sum']", 1)
    assert locate(value, ("nothing", 3)) == ("", value)
    assert locate([1], (1,)) == ("", [1])
