"""Plain data of exceptions: each type has a mark, comes back as itself, and what has none is refused."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from perdure.errors import ValueNotStorable
from perdure.serialization.failures.exception_data import Writer, from_plain, to_plain
from perdure.serialization.failures.not_kept import NotKept


class Colour(enum.Enum):
    RED = (1,)


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Point:
    x: int


class Amount(int):
    pass


def again(value: object) -> Any:
    text = json.dumps(to_plain(value), allow_nan=False)
    assert "\\u0000" not in text
    return from_plain(json.loads(text))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        1 << 2000,
        -(1 << 2000),
        1.5,
        -0.0,
        math.inf,
        "é",
        "a\0b",
        "a\ud800",
        b"\x00\xff",
        [1, [2]],
        (1, (2,)),
        {1, 2},
        frozenset({"a"}),
        {"a": 1},
        {"$": 1},
        {1: {"a": (2,)}},
        {"a\0": 1},
        decimal.Decimal("1.10"),
        uuid.UUID(int=1),
        datetime.date(2026, 1, 31),
        datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC),
        datetime.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        datetime.timedelta(seconds=1.5),
        Path("/a"),
        Colour.RED,
        Access.READ,
        Access.READ | Access.WRITE,
        Point(3),
        ValueError,
        list[int],
        NotKept.of(object()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_it_comes_back_as_it_was(value: object) -> None:
    back = again(value)
    assert type(back) is type(value) or isinstance(value, NotKept)
    assert back == value
    assert repr(back) == repr(value)


def test_not_a_number_comes_back() -> None:
    assert math.isnan(again(math.nan))


@pytest.mark.parametrize("value", [object(), len, Amount(3), [object()], {"a": {1: object()}}, lambda: 1])
def test_what_is_no_plain_data_is_refused(value: object) -> None:
    with pytest.raises(ValueNotStorable):
        to_plain(value)


def test_nested_too_deep_is_refused() -> None:
    deep: list[object] = []
    for _ in range(49):
        deep = [deep]
    assert again(deep) == deep
    with pytest.raises(ValueNotStorable, match="nested deeper than 50 levels"):
        to_plain([[deep]])


def test_a_class_that_is_not_found_by_its_name_is_refused() -> None:
    class Local: ...

    with pytest.raises(ValueNotStorable, match="is not found by its name"):
        to_plain(Local)


def test_exceptions_are_written_by_whoever_can() -> None:
    error = ValueError("x")
    with pytest.raises(ValueNotStorable):
        to_plain([error])
    document = {"type": "builtins:ValueError", "message": "x", "args": ["x"]}
    back = from_plain(Writer(lambda _: document).write([error]))
    assert repr(back) == "[ValueError('x')]"


@pytest.mark.parametrize(
    "written",
    [
        {"$": "later", "v": 1},
        {"$": "class", "v": "nowhere:X"},
        {"$": "enum", "v": [f"{__name__}:Colour", "GREEN"]},
        {"$": "flags", "v": [f"{__name__}:Colour", 1]},
        {"$": "value", "v": ["nowhere:X", 1]},
        {"$": "value", "v": [f"{__name__}:Point", {"x": "no number"}]},
    ],
)
def test_what_cannot_be_read_here_is_an_error(written: dict[str, object]) -> None:
    with pytest.raises(Exception, match=r"."):
        from_plain(written)
