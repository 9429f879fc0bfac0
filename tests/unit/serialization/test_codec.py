"""Values that survive, as they were; values that do not, refused when they are written."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
import pathlib
import sys
import typing
import uuid
import zoneinfo
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, computed_field, field_serializer
from pydantic_core import core_schema
from typing_extensions import TypedDict

from perdure.errors import DefinitionError, UsageError, ValueNotReadable, ValueNotStorable
from perdure.serialization.codec import ValueCodec, _max_value_bytes
from perdure.serialization.roundtrip import difference

if TYPE_CHECKING:
    from nowhere import Missing  # type: ignore[import-not-found]


class Color(enum.Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(enum.StrEnum):
    LOW = "low"


class Point(NamedTuple):
    x: int
    when: datetime.date


class Row(TypedDict):
    raw: bytes
    count: int


@dataclass
class Item:
    name: str
    when: datetime.datetime | None = None
    raw: bytes = b""
    extra: Any = None


@dataclass(eq=False)
class Unequal:
    items: list[int]


@dataclass
class Derived:
    a: int
    double: int = field(init=False)

    def __post_init__(self) -> None:
        self.double = self.a * 2


class Cat(BaseModel):
    name: str


class Dog(BaseModel):
    name: str


class Kitten(Cat):
    age: int = 1


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid")
    amount: int = Field(alias="Amount")
    unit: str = Field("EUR", serialization_alias="out", validation_alias="in")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.amount * 2


class WrittenAsText(BaseModel):
    x: int

    @field_serializer("x")
    def write(self, x: int) -> str:
        return str(x)


class RawModel(BaseModel):
    raw: bytes


class Base64Model(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    raw: bytes


class Secretive(BaseModel):
    a: int = 1
    _kept: int = PrivateAttr(0)
    _lock: object = PrivateAttr(default_factory=object)


class Left(BaseModel):
    kind: Literal["left"] = "left"
    name: str


class Right(BaseModel):
    kind: Literal["right"] = "right"
    name: str


async def unawaited() -> None: ...


class Opaque:
    pass


class Ticket:
    """Knows no equality; its number is new whenever it is read."""

    count = 0

    def __init__(self, number: int) -> None:
        self.number = number

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> core_schema.CoreSchema:
        def read(number: int) -> Ticket:
            cls.count += 1
            return cls(number if number == 0 else cls.count)

        return core_schema.no_info_after_validator_function(
            read,
            core_schema.int_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda ticket: ticket.number),
        )


def codec(hint: object = Any) -> ValueCodec:
    return ValueCodec.for_hint(hint, "step 'charge'")


def refused(hint: object, value: object) -> str:
    with pytest.raises(ValueNotStorable) as caught:
        codec(hint).encode(value)
    return str(caught.value)


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


UTC = datetime.UTC
SURVIVORS: list[tuple[object, object]] = [
    (Any, None),
    (Any, True),
    (Any, -(10**30)),
    (Any, 1.5),
    (Any, 1e300),
    (Any, "ä\U0001f600\n\\u0000"),
    (Any, {"a": [1, True, 1.0, None, "x", {}]}),
    (None, None),
    (str, "x"),
    (int, 10**4299),
    (int | None, None),
    (int | str, "3"),
    (bytes, bytes(range(256))),
    (list[bytes], [b"\xff"]),
    (dict[bytes, int], {b"\xff": 1}),
    (datetime.datetime, datetime.datetime(2024, 2, 29, 12, 0, 0, 1)),  # noqa: DTZ001
    (datetime.datetime, datetime.datetime(2024, 2, 29, tzinfo=UTC)),
    (datetime.datetime, datetime.datetime(2024, 2, 29, tzinfo=zoneinfo.ZoneInfo("Asia/Kolkata"))),
    (datetime.date, datetime.date(1, 1, 1)),
    (datetime.time, datetime.time(23, 59, 59, 999999)),
    (datetime.timedelta, datetime.timedelta(days=-3, microseconds=1)),
    (uuid.UUID, uuid.UUID(int=7)),
    (decimal.Decimal, decimal.Decimal("1.10")),
    (Color, Color.RED),
    (Level, Level.LOW),
    (Literal["a", "b"], "a"),
    (pathlib.Path, pathlib.Path("/tmp/x")),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], ()),
    (set[int], {1, 2}),
    (frozenset[tuple[int, str]], frozenset({(1, "a")})),
    (dict[int, str], {1: "a"}),
    (dict[uuid.UUID, Item], {uuid.UUID(int=1): Item("a")}),
    (Item, Item("a", datetime.datetime(2024, 1, 1, tzinfo=UTC), b"\xff\x00", {"k": [1]})),
    (list[Item], [Item("a"), Item("b")]),
    (Point, Point(1, datetime.date(2024, 1, 1))),
    (Row, {"raw": b"\xff", "count": 1}),
    (Derived, Derived(4)),
    (Cat, Cat(name="Tom")),
    (Kitten | Cat, Kitten(name="Tom")),
    (Left | Right, Right(name="r")),
    (Annotated[Left | Right, Field(discriminator="kind")], Right(name="r")),
    (Aliased, Aliased.model_validate({"Amount": 3, "in": "USD"})),
    (WrittenAsText, WrittenAsText(x=3)),
    (RawModel, RawModel(raw=b"text")),
    (Base64Model, Base64Model(raw=b"\xff")),
]


@pytest.mark.parametrize(("hint", "value"), SURVIVORS, ids=repr)
def test_survives_with_its_type(hint: object, value: object) -> None:
    one = codec(hint)
    text, copy = one.encode(value)
    for again in (copy, one.decode(text), one.decode(text.encode())):
        assert again == value
        assert type(again) is type(value)
    assert "\x00" not in text


def test_the_copy_is_fresh() -> None:
    value = {"a": [1]}
    _, copy = codec().encode(value)
    assert copy == value
    value["a"].append(2)
    assert copy == {"a": [1]}


def test_objects_that_know_no_equality_survive_if_they_are_written_alike() -> None:
    _, copy = codec(list[Unequal]).encode([Unequal([1])])
    assert isinstance(copy, list)
    assert copy[0].items == [1]
    _, ticket = codec(Ticket).encode(Ticket(0))
    assert isinstance(ticket, Ticket)
    assert "Ticket in it" in refused(Ticket, Ticket(10**6))


REFUSED: list[tuple[object, object, list[str]]] = [
    (Any, (1, "a"), ["step 'charge': result is a tuple", "a list", "`-> tuple[int, str]`"]),
    (Any, {1: "a"}, ["the key 1 (int)", "'1' (str)", "`-> dict[int, str]`"]),
    (Any, {"k": [1, {2}]}, ["result['k'][1] is a set"]),
    (Any, b"x", ["result is bytes", "`-> bytes`"]),
    (Any, Item("a"), ["result is an Item", "`-> Item`"]),
    (Any, Level.LOW, ["result is a Level"]),
    (Any, math.nan, ["result is nan", "JSON does not have"]),
    (Any, {"a": [math.inf]}, ["result['a'][0] is inf"]),
    (list[float], [1.0, -math.inf], ["result[1] is -inf"]),
    (float | None, math.nan, ["result is nan"]),
    (Any, "a\x00b", ["result has a NUL", "index 1", "Postgres"]),
    (str, "a\x00b", ["result has a NUL", "index 1", "Postgres"]),
    (Item, Item("a\x00"), ["result.name has a NUL"]),
    (str, "x\ud800", ["lone surrogate", "index 1"]),
    (Any, {"k\udcff": 1}, ["lone surrogate"]),
    (Any, nested(201), ["nested deeper than 200 levels"]),
    (Any, nested(100_000), ["nested deeper than 200 levels"]),
    (Any, 10**4300, ["more than 4300 digits"]),
    (int, -(10**5000), ["more than 4300 digits"]),
    (Any, Opaque(), ["result is an Opaque, which has no JSON form"]),
    (Any, [{"x": Opaque()}], ["result[0]['x'] is an Opaque"]),
    (Any, (one for one in "ab"), ["generator", "return a list"]),
    (Any, unawaited(), ["is a coroutine", "async def", "pass the async function itself"]),
    (int, "3", ["valid integer", "'3'", "`-> str`"]),
    (int, True, ["is a bool", "an int"]),
    (bool, 1, ["valid boolean"]),
    (None, 3, ["`-> int`"]),
    (list[int], [1, "2"], ["result[1]", "`-> list[int | str]`"]),
    (Item, Item("a", extra=(1,)), ["result.extra is a tuple"]),
    (list[Item], [Item("a"), Item("b", extra={3: 4})], ["result[1].extra has the key 3"]),
    (Cat, Kitten(name="x"), ["is a Kitten", "a Cat"]),
    (Cat | Dog, Dog(name="x"), ["is a Dog", "a Cat", "look alike", "Literal"]),
    (str | datetime.date, datetime.date(2024, 1, 1), ["look alike"]),
    (RawModel, RawModel(raw=b"\xff"), ["utf-8", "val_json_bytes='base64'"]),
    (SecretStr, SecretStr("x"), ["another SecretStr"]),
    (decimal.Decimal, decimal.Decimal("NaN"), ["finite"]),
    (set[Any], {(1, 2)}, ["hashable"]),
    (Annotated[int, Field(gt=3)], 1, ["greater than 3"]),
]


@pytest.mark.parametrize(("hint", "value", "parts"), REFUSED, ids=range(len(REFUSED)))
def test_refused_with_place_reason_and_advice(hint: object, value: object, parts: list[str]) -> None:
    message = refused(hint, value)
    assert [part for part in ["step 'charge'", *parts] if part not in message] == [], message
    assert len(message) < 1000


def test_200_levels_survive() -> None:
    text, copy = codec().encode(nested(200))
    assert text == "[" * 200 + "1" + "]" * 200
    assert difference(nested(200), copy, []) is None


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: {"a": [it, 1]}])
def test_a_value_that_contains_itself_is_refused(wrap: Callable[[object], object]) -> None:
    cyclic: list[object] = []
    cyclic.append(wrap(cyclic))
    assert "contains itself" in refused(Any, {"x": cyclic})


def test_integers_do_not_depend_on_the_limit_of_the_process() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        number = 1 << 14_000
        text, _ = codec(int).encode(number)
        assert codec(int).decode(text) == number
        assert codec().decode(text) == number
    finally:
        sys.set_int_max_str_digits(before)


def test_the_limit_names_both_sizes_and_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused(str, "x" * (1 << 20))
    assert "1,048,578 bytes" in message
    assert "1,048,576 are the most" in message
    assert "reference" in message
    monkeypatch.setattr(ValueCodec, "max_bytes", 10)
    assert codec().encode("12345678")[0] == '"12345678"'
    assert "11 bytes" in refused(Any, "123456789")
    assert "are the most" in refused(Any, ["ä" * 4])


@pytest.mark.parametrize("text", ["", "0", "-1", "1e6", "a", "60000001", "1" * 10])
def test_a_limit_that_is_no_size_is_refused(text: str) -> None:
    assert _max_value_bytes("2048") == 2048
    with pytest.raises(UsageError, match="PERDURE_MAX_VALUE_BYTES"):
        _max_value_bytes(text)


def test_private_data_of_a_model_is_not_lost_silently() -> None:
    model = Secretive()
    codec(Secretive).encode(model)
    model._kept = 5
    assert "result._kept is a private attribute" in refused(Secretive, model)


@pytest.mark.parametrize(
    ("hint", "text", "parts"),
    [
        (int, '"3"', ["step 'charge'", "as int", "'3'"]),
        (list[Item], '[{"name":"a"},{"name":3}]', ["as list[Item]", "result[1]['name']", "(found 3)"]),
        (Item, "{}", ["result.name: Field required"]),
        (Item, '{"name":', ["no JSON"]),
        (Any, "NaN", ["no JSON"]),
        (Left | Right, '{"kind":"up","name":"x"}', ["'left'", "'right'"]),
    ],
)
def test_what_no_longer_fits_its_type_is_named(hint: object, text: str, parts: list[str]) -> None:
    with pytest.raises(ValueNotReadable) as caught:
        codec(hint).decode(text)
    message = str(caught.value)
    assert [part for part in [*parts, "start a new run"] if part not in message] == [], message


def test_hints_come_from_the_return_annotation() -> None:
    def plain(a): ...

    def pair() -> tuple[int, str]: ...  # type: ignore[empty-body]

    async def awaited() -> tuple[int, str]: ...  # type: ignore[empty-body]

    def awaitable() -> Awaitable[tuple[int, str]]: ...  # type: ignore[empty-body]

    def other_is_missing(a: Missing) -> tuple[int, str]: ...  # type: ignore[empty-body]

    for function in (pair, awaited, awaitable, other_is_missing):
        assert ValueCodec.for_result(function, "step 's'").encode((1, "a")) == ('[1,"a"]', (1, "a"))
    assert ValueCodec.for_result(plain, "step 's'").encode([1]) == ("[1]", [1])


def test_an_annotation_that_cannot_be_evaluated_is_an_error_at_first_use() -> None:
    def lost() -> Missing: ...

    one = ValueCodec.for_result(lost, "step 'lost'")
    for use in (lambda: one.encode(1), lambda: one.decode("1")):
        with pytest.raises(DefinitionError, match=r"step 'lost'.*Missing.*TYPE_CHECKING"):
            use()


def test_a_local_class_that_the_function_uses_is_found() -> None:
    @dataclass
    class Local:
        a: int

    def make() -> Local:
        return Local(1)

    text, copy = ValueCodec.for_result(make, "step 's'").encode(make())
    assert (text, copy) == ('{"a":1}', Local(1))


def test_a_type_that_pydantic_cannot_read_is_a_definition_error() -> None:
    with pytest.raises(DefinitionError, match=r"step 'charge': values of type Opaque .* dataclass"):
        codec(Opaque).encode(Opaque())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.tuples(st.integers()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=10,
)
hints: list[object] = [
    Any,
    list[Any],
    int | str | None,
    float,
    bytes,
    list[float],
    dict[int, Any],
    dict[str, bytes | None],
    tuple[int, ...],
    Item,
    str | bytes,
]
typed_values: st.SearchStrategy[tuple[object, object]] = st.one_of(
    [
        st.tuples(st.just(hint), st.from_type(hint))
        for hint in (
            datetime.datetime,
            datetime.date,
            datetime.time,
            datetime.timedelta,
            uuid.UUID,
            decimal.Decimal,
            float,
            str,
            bytes,
            Color,
            Point,
            Row,
            set[int],
            frozenset[str],
            dict[int, bytes],
            dict[datetime.date, tuple[int, float]],
            list[datetime.timedelta | None],
        )
    ]
    + [st.tuples(st.just(hint), json_values) for hint in hints]
    + [st.tuples(st.just(Item), st.builds(Item, st.text(), st.datetimes(), st.binary(), json_values))]
)


@given(typed_values)
def test_any_value_survives_or_is_refused(pair: tuple[object, object]) -> None:
    hint, value = pair
    one = codec(hint)
    try:
        text, copy = one.encode(value)
    except ValueNotStorable:
        return
    again = one.decode(text)
    assert difference(copy, again, []) is None
    if not (type(value) is int and type(copy) is float):
        assert difference(value, copy, []) is None
        assert copy == value
    assert json.loads(one.encode(copy)[0]) == json.loads(text) or typing.get_origin(hint) in (set, frozenset)


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.text(st.characters(exclude_categories=["Cs"]))
)
def test_plain_values_are_not_refused(real: float, number: int, text: str) -> None:
    for value in (real, number, text.replace("\x00", ""), {"k": [real, number, None]}):
        for hint in (Any, type(value)):
            assert codec(hint).decode(codec(hint).encode(value)[0]) == value
