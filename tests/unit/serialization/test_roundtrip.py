"""Two values side by side: where the copy is not what the original was, that place is found, with the reason."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import functools
import math
import threading
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, PrivateAttr

from perdure.serialization.roundtrip import difference


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Size(enum.StrEnum):
    SMALL = "small"


@dataclass
class Point:
    x: Any
    lock: Any = field(default_factory=threading.Lock, init=False, compare=False)

    @functools.cached_property
    def twice(self) -> Any:
        return self.x * 2


class Pair(NamedTuple):
    left: Any


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str
    size: int = 1
    _seen: int = PrivateAttr(default=0)


class Names(list[str]):
    pass


class Opaque:
    pass


def flaw(old: object, new: object) -> tuple[str, str] | None:
    found = difference(old, new, [])
    return None if found is None else ("".join(reversed(found.place)), found.why)


def model(**more: Any) -> Model:
    return Model(name="a", **more)


def set_apart(value: Any, **attributes: object) -> Any:
    for name, one in attributes.items():
        setattr(value, name, one)
    return value


BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = datetime.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (1, 1),
        (0.5, 0.5),
        ("a", "a"),
        ([1, (2, {"a": {3}})], [1, (2, {"a": {3}})]),
        (Point(1), Point(1)),  # whose locks are two
        (set_apart(Point(1), twice=2), Point(1)),
        (Pair([1]), Pair([1])),
        (model(more=[1]), model(more=[1])),
        (collections.deque([1], 3), collections.deque([1], 3)),
        (collections.defaultdict(list, a=[1]), collections.defaultdict(list, a=[1])),
        (Colour.RED, Colour.RED),
        (decimal.Decimal("1.0"), decimal.Decimal("1.0")),
        (NIGHT, NIGHT.replace()),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),  # as a TypedDict comes back
        (3, 3.0),  # in a model's field of type float
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_came_back_is_no_difference(old: object, new: object) -> None:
    assert flaw(old, new) is None


@pytest.mark.parametrize(
    ("old", "new", "place", "why"),
    [
        (1, True, "", "would be read back as a bool"),
        (1, 2, "", "another int: 1 as 2"),
        (0.0, -0.0, "", "another float"),
        (math.nan, math.nan, "", "is nan, which JSON does not have"),
        ((1,), [1], "", "is a tuple, and would be read back as a list"),
        ([1, [2]], [1, [3]], "[1][0]", "another int: 2 as 3"),
        ([1], [1, 2], "", "another list"),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "['a']['b']", "another int"),
        ({1: "a"}, {"1": "a"}, "", "has the key 1 (int), which would be read back as '1' (str)"),
        ({"a": 1, "b": 2}, {"a": 1}, "", "has 2 keys, of which 1 would be read back"),
        ({1}, {2}, "", "another set"),
        (Point(1), Point(2), ".x", "another int"),
        (set_apart(Point(1), seen=True), Point(1), ".seen", "is an attribute that is not a field"),
        (Pair(1), Pair(2), ".left", "another int"),
        (model(), model(size=1), "", "has unset fields (size), which would be lost"),
        (set_apart(model(), _seen=3), model(), "._seen", "is a private attribute"),
        (model(more=1), model(more=2), "['more']", "another int"),
        (set_apart(Names(["a"]), seen=1), Names(["a"]), ".seen", "is an attribute that is not a field"),
        (collections.deque([1], 3), collections.deque([1]), "", "is a deque with maxlen=3"),
        (collections.defaultdict(list), collections.defaultdict(int), "", "is a defaultdict of list"),
        (Colour.RED, Colour.BLUE, "", "another Colour"),
        (decimal.Decimal("1.0"), decimal.Decimal("1.00"), "", "another Decimal"),
        (NIGHT, NIGHT.replace(fold=1), "", "another datetime"),
        (NIGHT, NIGHT.astimezone(datetime.timezone(datetime.timedelta(hours=2))), "", "zone"),
        (np.array([1, 2]), np.array([1, 2]), "", "cannot be compared"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_first_place_that_differs_is_told_with_its_reason(old: object, new: object, place: str, why: str) -> None:
    found = flaw(old, new)
    assert found is not None
    assert found[0] == place
    assert why in found[1]


def test_objects_without_an_equality_are_left_to_the_caller() -> None:
    doubts: list[object] = []
    copy = Opaque()
    assert difference([Opaque()], [copy], doubts) is None
    assert doubts == [copy]


def test_members_that_came_back_as_their_text_are_left_to_the_caller() -> None:
    doubts: list[object] = []
    assert difference([Size.SMALL], ["small"], doubts) is None
    assert doubts == [Size.SMALL]
    assert difference(Size.SMALL, "large", []) is not None
    assert difference(Colour.RED, 1, []) is not None
