"""The canonical form of values: equal values have it in common, whatever process and Python version writes it."""

from __future__ import annotations

import array
import enum
import json
import subprocess
import sys
import time
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.serialization.canonical.walk import Walk
from tests.harness.pythons import pythons, venv_for


def text(value: object) -> str:
    return Walk().text(value)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Shade(enum.StrEnum):
    DARK = "dark"


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
    name: str
    tags: set[str] = pydantic.Field(default_factory=set)


class Client:
    """Not a value: it has an address, a lock and state."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.calls = 0

    def __eq__(self, other: object) -> bool:
        raise AssertionError("code of a class that is not a value was run")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise AssertionError("code of a class that is not a value was run")


Old = namedtuple("Old", ["a"])  # noqa: PYI024  the untyped form is what is tested

DISTINCT: list[Any] = [
    None, True, False, 0, 1, -1, 2**2000, 10**5000, 1.0, 0.0, -0.0, 1.5, float("inf"), float("nan"),
    "", "1", "a", "é", "\ud800", "None", "x" * 5000, "x" * 4999 + "y",
    b"", b"a", b"x" * 5000, bytearray(b"a"), array.array("i", [1]), array.array("l", [1]),
    [], [1], ["1"], [[1]], [1, [2]], (), (1,), ((1,),), set(), {1}, {"1"}, frozenset(), frozenset({1}), {(1, 2)},
    {}, {"a": 1}, {"a": "1"}, {1: "a"}, {"1": "a"}, {"a": {"a": 1}}, [("a", 1)],
    OrderedDict(a=1, b=2), OrderedDict(b=2, a=1), defaultdict(int, a=1), Counter(a=1), deque([1]),
    Colour.RED, Colour.BLUE, Shade.DARK, "dark", complex(1, 2), range(3), slice(3), ...,
    date(2026, 1, 2), datetime(2026, 1, 2),  # noqa: DTZ001
    datetime(2026, 1, 2, tzinfo=UTC),
    datetime(2026, 1, 2, tzinfo=ZoneInfo("Europe/Berlin")), timedelta(1), ZoneInfo("Europe/Berlin"),
    Decimal("1.0"), Decimal("1.00"), Decimal("NaN"), Fraction(1, 3), UUID(int=1), UUID(int=2), PurePosixPath("/a"),
    Order(1), Order(2), Order(1, ["a"]), Point(1.0), Point(1.0, 1.0), Pair(1), Pair(1, 2), Old(1),
    Model(name="a"), Model(name="b"), Model(name="a", tags={"x"}),
    ValueError("a"), ValueError("b"), KeyError("a"), ExceptionGroup("g", [ValueError(1)]), Client(), Lock(), len,
    np.float64(1.0), np.float32(1.0), np.int64(1), np.bool_(True),
    np.array([1, 2]), np.array([1, 3]), np.array([[1, 2]]),
    np.datetime64("2026-01-02"),
]  # fmt: skip


def test_values_that_differ_have_different_texts() -> None:
    texts = [text(one) for one in DISTINCT]
    assert [texts[n] for n in range(len(texts)) if texts[n] in texts[:n]] == []


def test_no_text_has_an_address_or_a_name_of_this_module() -> None:
    for one in DISTINCT:
        assert " at 0x" not in text(one)
        assert "test_walk" not in text(one)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=30,
)
KEYS = st.text() | st.integers() | st.booleans() | st.none() | st.tuples(st.text(), st.integers()) | st.just(Colour.RED)


@given(JSON)
def test_a_copy_has_the_same_text(value: Any) -> None:
    shallow = list(value) if isinstance(value, list) else dict(value) if isinstance(value, dict) else value
    assert text(shallow) == text(value)


@given(st.lists(KEYS, unique=True), st.randoms())
def test_sets_and_dicts_have_no_order(keys: list[Any], chance: Any) -> None:
    shuffled = list(keys)
    chance.shuffle(shuffled)
    assert text(set(keys)) == text(set(shuffled))
    assert text(frozenset(keys)) == text(frozenset(shuffled))
    assert text({key: [1] for key in keys}) == text({key: [1] for key in shuffled})


@given(JSON, JSON)
def test_unlike_texts_for_unlike_json(one: Any, other: Any) -> None:
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True):
        assert text(one) != text(other)


def test_an_ordered_dict_has_an_order() -> None:
    moved = OrderedDict(a=1, b=2)
    before = text(moved)
    moved.move_to_end("a")
    assert text(moved) != before


@pytest.mark.parametrize("make", [lambda: [1, []], lambda: {"a": {}}, lambda: Order(1), lambda: deque([deque()])])
def test_what_holds_itself_ends(make: Any) -> None:
    def knot() -> Any:
        outer = make()
        if isinstance(outer, Order):
            outer.items.append(outer)  # type: ignore[arg-type]
        elif isinstance(outer, dict):
            outer["a"]["b"] = outer
        else:
            outer[-1].append(outer)
        return outer

    assert text(knot()) == text(knot())


def test_work_is_bounded() -> None:
    shared: Any = [1]
    for _ in range(90):
        shared = [shared, shared]
    began = time.process_time()
    text(shared)
    text([{"a": n} for n in range(200_000)])
    text({(n, (n,)) for n in range(20_000)})
    text(bytes(300_000_000))
    text(list(range(1_000_000)))
    assert time.process_time() - began < 10


def test_sharing_makes_no_difference() -> None:
    one: Any = {"a": [1, [2]]}
    assert text([one] * 3000) == text([{"a": [1, [2]]} for _ in range(3000)])


def test_the_end_of_a_long_list_is_seen_by_its_number() -> None:
    many: list[Any] = [{"a": n} for n in range(10_000)]
    assert text(many) != text(many[:-1])


def test_nested_too_deep_is_cut() -> None:
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    assert text(deep).count("[") == 100


def test_a_walk_knows_what_could_be_changed() -> None:
    changeable: list[Any] = [[], {}, set(), bytearray(), deque(), Order(1), Model(name="a"), np.array([1]), ([1],)]
    for value in changeable:
        walk = Walk()
        walk.text(value)
        assert walk.mutable, value
    for value in [(), "a", frozenset(), Point(1), Colour.RED, Client(), Lock(), datetime.now(UTC), np.float64(1)]:
        walk = Walk()
        walk.text(value)
        assert not walk.mutable, value


_ELSEWHERE = """
import sys; sys.path[:0] = [{tree!r}, {runtime!r}]
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, Flag
from pathlib import Path
from uuid import UUID
import threading
import re
from perdure.serialization.canonical.walk import Walk
class Colour(Enum):
    RED = "red"
class Right(Flag):
    R = 1
    W = 2
@dataclass
class Order:
    id: int
    tags: frozenset = frozenset()
values = [
    {{"milk", "bread", "eggs", "tea"}}, frozenset({{("a", 1), ("b", 2)}}), {{"b": {{"y", "x"}}, "a": 1}}, Colour.RED,
    Right.R | Right.W,
    Order(1, frozenset({{"a", "b"}})), datetime(2026, 1, 2, tzinfo=UTC), timedelta(1.5),
    Decimal("1.10"), UUID(int=7), Path("/a"),
    1e16, 0.1, 10 ** 4000, "\\u0378\\U0001fae9", b"\\xff", ValueError("x", 1), Counter(b=1, a=2),
    OrderedDict(b=1), deque([1]), threading.Lock(), threading.RLock(), re.compile("a"), len, print,
    object(), {{1: "a", "1": "b", None: "c"}},
]
print("\\n".join(Walk().text(value) for value in values))
"""


def _elsewhere(python: Path | str, seed: str) -> str:
    tree = Path(__file__).resolve().parents[3]
    code = _ELSEWHERE.format(tree=str(tree), runtime=str(tree / "runtime"))
    done = subprocess.run(
        [str(python), "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONHASHSEED": seed},
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_hash_seed_writes_the_same() -> None:
    assert len({_elsewhere(sys.executable, seed) for seed in ("0", "1", "2", "random")}) == 1


@pytest.mark.timeout(600)
def test_every_python_version_writes_the_same() -> None:
    assert len({_elsewhere(venv_for(python) / "bin" / "python", "random") for python in pythons()}) == 1
