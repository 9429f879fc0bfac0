"""The rule for values, held against random ones: what comes back is what was written, or writing is refused.

The witness is not the comparison that the library itself makes, but what `copy` and `pickle` know of an object.
"""

from __future__ import annotations

import copyreg
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import pathlib
import re
import types
import typing
import uuid
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pydantic
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from perdure.errors import DefinitionError, ValueNotStorable
from perdure.serialization.codec import ValueCodec


def state(value: Any, *, plain: bool = False) -> Any:
    """All that there is to know of a value, as something to compare and to hash.

    With `plain`, members of enums that behave as text or numbers are taken for that.
    """
    if plain and isinstance(value, Level | Rank):
        value = value.value
    of = functools.partial(state, plain=plain)
    kind = type(value)
    if isinstance(value, enum.Enum):
        return kind, value.name, repr(value)
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return kind, value.__qualname__
    if kind is float:
        return kind, value.hex()
    if kind in (type(None), bool, int, str, bytes, complex, zoneinfo.ZoneInfo):
        return kind, str(value)
    if kind in (set, frozenset):
        return kind, frozenset(map(of, value))
    if kind is dict:
        return kind, tuple((of(key), of(member)) for key, member in value.items())
    if kind in (list, tuple):
        return kind, tuple(map(of, value))
    reduced: Any = copyreg.dispatch_table[kind](value) if kind in copyreg.dispatch_table else value.__reduce_ex__(4)
    return kind, tuple(of(list(part) if hasattr(part, "__next__") else part) for part in reduced[1:])


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Shape(enum.Enum):
    POINT = (0, 0)
    LINE = (0, 1)
    NONE = None


class Level(enum.StrEnum):
    LOW = "low"
    HIGH = "high"


class Rank(enum.IntEnum):
    FIRST = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Parcel:
    weight: float
    sent: datetime.datetime | None = None
    number: uuid.UUID = dataclasses.field(init=False, default_factory=uuid.uuid4)
    label: str = dataclasses.field(init=False)
    parts: list[Parcel] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.label = uuid.uuid4().hex
        self.weight += 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    x: int
    name: str = ""
    start: dataclasses.InitVar[int] = 0
    index: int = dataclasses.field(init=False, default=0)

    def __post_init__(self, start: int) -> None:
        object.__setattr__(self, "index", start)


class Address(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", frozen=True)
    street: str = ""
    since: datetime.datetime | None = None
    raw: bytes = b""
    number: float = pydantic.Field(default=0.0, alias="No")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    homes: list[Address] = []
    at: dict[tuple[int, int], str] = {}


class Row(TypedDict, total=False):
    count: float
    when: datetime.datetime


class Pair(NamedTuple):
    left: float
    right: datetime.time | None


text = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
offsets = st.integers(-86_399, 86_399).map(lambda seconds: datetime.timezone(datetime.timedelta(seconds=seconds)))
zones: Any = st.none() | st.just(datetime.UTC) | st.timezones() | offsets
moments = st.builds(
    lambda one, fold: one.replace(fold=fold),
    st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1), timezones=zones),  # noqa: DTZ001
    st.sampled_from([0, 0, 0, 1]),
)
times = st.times(timezones=st.none() | st.just(datetime.UTC) | st.timezones())
places = st.builds(Place, x=st.integers(), name=text, start=st.integers())
parcels = st.builds(Parcel, numbers, st.none() | moments, st.lists(st.builds(Parcel, numbers), max_size=2))
addresses = st.builds(
    lambda given: Address(**given),
    st.fixed_dictionaries({}, optional={"street": text, "since": moments, "raw": st.binary(), "No": numbers}),
)
opens = st.builds(
    lambda given: Open(**given),
    st.fixed_dictionaries(
        {},
        optional={
            "homes": st.lists(addresses, max_size=2),
            "at": st.dictionaries(st.tuples(st.integers(), st.integers()), text, max_size=2),
            "more": text,
        },
    ),
)

Typed = tuple[Any, st.SearchStrategy[Any]]
HASHABLE: list[Typed] = [
    (str, text),
    (int, st.integers()),
    (bool, st.booleans()),
    (bytes, st.binary(max_size=5)),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (fractions.Fraction, st.fractions()),
    (datetime.datetime, moments),
    (datetime.date, st.dates()),
    (datetime.time, times),
    (datetime.timedelta, st.timedeltas()),
    (pathlib.PurePosixPath, st.sampled_from([pathlib.PurePosixPath("/a/b"), pathlib.PurePosixPath("c")])),
    (ipaddress.IPv4Address, st.ip_addresses(v=4)),
    (Colour, st.sampled_from(Colour)),
    (Shape, st.sampled_from(Shape)),
    (Level, st.sampled_from(Level)),
    (Rank, st.sampled_from(Rank)),
    (Right, st.sampled_from([Right.READ, Right.WRITE, Right.READ | Right.WRITE, Right(0)])),
    (typing.Literal["a", 2, Colour.RED, Shape.LINE], st.sampled_from(["a", 2, Colour.RED, Shape.LINE])),
    (str | None, text | st.none()),
    (int | str, st.integers() | text | st.sampled_from(["1", "null", "[1]"])),
    (tuple[int, str], st.tuples(st.integers(), text)),
    (
        tuple[tuple[int, ...], Colour],
        st.tuples(st.lists(st.integers(), max_size=2).map(tuple), st.sampled_from(Colour)),
    ),
    (frozenset[int], st.frozensets(st.integers(), max_size=3)),
    (Pair, st.builds(Pair, numbers, st.none() | times)),
    (Place, places),
]
LEAVES: list[Typed] = [
    *HASHABLE,
    (None, st.none()),
    (float, numbers),
    (complex, st.complex_numbers(allow_nan=False, allow_infinity=False)),
    (re.Pattern[str], st.sampled_from([re.compile("a"), re.compile("b+")])),
    (Parcel, parcels),
    (Address, addresses),
    (Open, opens),
    # Its keys come back in the order of the declaration.
    (
        Row,
        st.fixed_dictionaries({}, optional={"count": numbers, "when": moments}).map(
            lambda row: {key: row[key] for key in ("count", "when") if key in row}
        ),
    ),
]


def _made(name: str, make: Callable[[str, dict[str, Any]], Any]) -> Callable[[Typed, Typed], Typed]:
    def combine(one: Typed, other: Typed) -> Typed:
        kind = make(name, {"a": one[0], "b": other[0]})
        return kind, st.builds(lambda a, b: kind(a=a, b=b), one[1], other[1])

    return combine


def _dataclass(name: str, fields: dict[str, Any]) -> Any:
    return dataclasses.make_dataclass(name, list(fields.items()))


def _model(name: str, fields: dict[str, Any]) -> Any:
    config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", revalidate_instances="never")
    create: Any = pydantic.create_model
    return create(name, __config__=config, **{one: (hint, ...) for one, hint in fields.items()})


def _dictionaries(kind: Any) -> Callable[[Typed, Typed], Typed]:
    return lambda key, member: (kind[key[0], member[0]], st.dictionaries(key[1], member[1], max_size=3).map(kind))


def _lists(hint: Any, make: Callable[[list[Any]], Any]) -> Callable[[Typed, Typed], Typed]:
    return lambda _key, member: (hint(member[0]), st.lists(member[1], max_size=3).map(make))


# So that mypy does not take what is made at run time for annotations.
A_LIST: Any = list
A_TUPLE: Any = tuple
A_SET: Any = set
A_FROZENSET: Any = frozenset
A_DEQUE: Any = deque
A_DEFAULTDICT: Any = defaultdict
A_COUNTER: Any = Counter

COMBINED: list[Callable[[Typed, Typed], Typed]] = [
    _lists(lambda member: A_LIST[member], list),
    _lists(lambda member: A_TUPLE[member, ...], tuple),
    _lists(lambda member: A_DEQUE[member], deque),
    _lists(lambda member: A_DEQUE[member], lambda members: deque(members, 3)),
    _lists(lambda member: A_DEFAULTDICT[str, A_LIST[member]], lambda found: defaultdict(list, {"a": found})),
    lambda key, member: (A_TUPLE[key[0], member[0]], st.tuples(key[1], member[1])),
    lambda key, _member: (A_SET[key[0]], st.sets(key[1], max_size=3)),
    lambda key, _member: (A_FROZENSET[key[0]], st.frozensets(key[1], max_size=3)),
    lambda key, _member: (A_COUNTER[key[0]], st.lists(key[1], max_size=3).map(Counter)),
    _dictionaries(dict),
    _dictionaries(OrderedDict),
    _made("MadeDataclass", _dataclass),
    _made("MadeModel", _model),
]

hashable = st.sampled_from(HASHABLE)
typed: st.SearchStrategy[Typed] = st.recursive(
    st.sampled_from(LEAVES),
    lambda inner: st.builds(lambda make, key, member: make(key, member), st.sampled_from(COMBINED), hashable, inner),
    max_leaves=3,
)


@given(st.data())
@settings(max_examples=100)
def test_a_value_of_its_type_comes_back_as_what_it_was(data: st.DataObject) -> None:
    hint, values = data.draw(typed)
    value = data.draw(values)
    before = state(value)
    codec = ValueCodec.for_hint(hint, "step 's'")
    text_of_it, copy = codec.encode(value)
    assert state(copy) == before
    assert state(codec.decode(text_of_it)) == before
    assert state(value) == before


@given(st.data())
@settings(max_examples=100)
def test_a_value_under_another_type_comes_back_as_what_it_was_or_is_refused(data: st.DataObject) -> None:
    (hint, _), (other, values) = data.draw(typed), data.draw(typed)
    chosen = data.draw(
        st.sampled_from([hint, Any, hint | (other or type(None)) if hint else Any, list[Any], dict[str, Any], object])
    )
    value = data.draw(values)
    codec = ValueCodec.for_hint(chosen, "step 's'")
    try:
        text_of_it, copy = codec.encode(value)
    except (ValueNotStorable, DefinitionError):
        return
    live, replayed = state(copy), state(codec.decode(text_of_it))
    assert live == replayed
    # Members that behave as their text or number may be handed on as that.
    assert live in (state(value), state(value, plain=True))
