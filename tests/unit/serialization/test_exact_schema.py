"""What hides behind a value comes back with it, or the value is refused: one case for each way it could be lost."""

from __future__ import annotations

import collections
import datetime
import enum
import functools
import json
import re
import typing
import uuid
import zoneinfo
from collections import defaultdict, deque
from dataclasses import InitVar, dataclass, field
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    model_validator,
)

from perdure.errors import DefinitionError, ValueNotReadable, ValueNotStorable
from perdure.serialization.codec import ValueCodec

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
NIGHT = datetime.datetime(2026, 3, 28, 12, tzinfo=BERLIN)  # half a day before the clocks change
DAY = datetime.timedelta(days=1)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Shape(enum.Enum):
    POINT = (0, 0)
    LINE = (0, 1)


class Level(enum.StrEnum):
    LOW = "low"


class Rank(enum.IntEnum):
    FIRST = 1


class Mood(str, enum.Enum):  # noqa: UP042 - shows itself as Mood.GOOD
    GOOD = "good"


class Right(enum.Flag):
    READ = 1
    WRITE = 2


@dataclass
class Parcel:
    to: str
    number: uuid.UUID = field(init=False, default_factory=uuid.uuid4)
    label: str = field(init=False)
    weight: float = 1.0

    def __post_init__(self) -> None:
        self.label = uuid.uuid4().hex
        self.weight += 1
        self.opened: list[str] = []

    @functools.cached_property
    def upper(self) -> str:
        return self.to.upper()


@dataclass
class Seeded:
    size: int
    seed: InitVar[int]
    numbers: list[int] = field(init=False)

    def __post_init__(self, seed: int) -> None:
        self.numbers = [seed] * self.size


@dataclass
class Guarded:
    a: int
    lock: Any = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        self.lock = object()


@dataclass(frozen=True)
class Cell:
    row: int
    column: int


class Address(BaseModel):
    street: str
    city: str = "Bonn"
    since: datetime.datetime | None = None


class Person(BaseModel):
    homes: list[Address] = []
    by_cell: dict[tuple[int, int], Address] = {}
    share: float = 0.0
    number: uuid.UUID = Field(default_factory=uuid.uuid4)


class Named(BaseModel):
    name: str
    when: datetime.datetime = NIGHT
    _seen: float = PrivateAttr(0.0)

    def __init__(self, name: str | None = None, **given: Any) -> None:
        super().__init__(**({"name": name} if name else {}), **given)

    @model_validator(mode="after")
    def check(self) -> Self:
        assert self.name
        return self


class Homes(RootModel[list[Address]]):
    pass


class Page(BaseModel):
    url: HttpUrl
    raw: bytes


class OldRow(typing.TypedDict):  # not that of typing_extensions
    count: int
    when: datetime.datetime


class OldRows(OldRow, total=False):
    inner: list[OldRow]


@dataclass
class Basket:
    items: list[str]

    def with_item(self, item: str) -> Self:
        return type(self)([*self.items, item])

    @classmethod
    def many(cls) -> dict[str, Self] | None:
        return {"a": cls(["x"])}

    async def later(self) -> tuple[Self, ...]:
        return (self,)


@dataclass
class Bigger(Basket):
    pass


def codec(hint: object = Any) -> ValueCodec:
    return ValueCodec.for_hint(hint, "step 's'")


def again(hint: object, value: Any) -> Any:
    """The value as a later process reads it, which is as this one gets it."""
    text, copy = codec(hint).encode(value)
    read = codec(hint).decode(text)
    assert type(copy) is type(read)
    assert json.loads(codec(hint).encode(read)[0]) == json.loads(text)
    return read


def refused(hint: object, value: object) -> str:
    with pytest.raises(ValueNotStorable) as caught:
        codec(hint).encode(value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("hint", "value", "find"),
    [
        (datetime.datetime, NIGHT, lambda it: it),
        (AwareDatetime, NIGHT, lambda it: it),
        (datetime.datetime | int, NIGHT, lambda it: it),
        (dict[str, list[datetime.datetime | None]], {"a": [None, NIGHT]}, lambda it: it["a"][1]),
        (dict[datetime.datetime, int], {NIGHT: 1}, lambda it: next(iter(it))),
        (tuple[datetime.datetime, ...], (NIGHT,), lambda it: it[0]),
        (Address, Address(street="x", since=NIGHT), lambda it: it.since),
        (Named, Named("x", when=NIGHT), lambda it: it.when),
        (OldRow, {"count": 1, "when": NIGHT}, lambda it: it["when"]),
    ],
)
def test_a_datetime_knows_when_the_clocks_change(hint: Any, value: Any, find: Any) -> None:
    found = find(again(hint, value))
    assert (found + DAY).isoformat() == (NIGHT + DAY).isoformat() == "2026-03-29T12:00:00+02:00"


def test_both_hours_of_the_night_when_clocks_go_back_are_told_apart() -> None:
    hours = [datetime.datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=fold) for fold in (0, 1)]
    assert [hour.utcoffset() for hour in again(list[datetime.datetime], hours)] == [hour.utcoffset() for hour in hours]
    clock = datetime.time(2, 30, tzinfo=BERLIN, fold=1)
    assert again(datetime.time, clock).fold == 1
    assert again(datetime.time, clock).tzinfo == BERLIN


def test_utc_is_utc_and_an_offset_one_of_the_standard_library() -> None:
    assert again(datetime.datetime, NIGHT.astimezone(datetime.UTC)).tzinfo is datetime.UTC
    offset = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    assert again(datetime.datetime, NIGHT.astimezone(offset)).tzname() == "UTC+05:30"


def test_a_zone_that_would_not_come_back_is_refused() -> None:
    named = NIGHT.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=1), "CET"))
    message = refused(list[datetime.datetime], [named])
    assert "result[0] has a fixed offset by the name of 'CET', which would be lost; use zoneinfo.ZoneInfo" in message


def test_a_serializer_that_drops_the_zone_is_named() -> None:
    class Event(BaseModel):
        when: Annotated[datetime.datetime, PlainSerializer(lambda when: when.isoformat())]

    message = refused(Event, Event(when=NIGHT))
    assert "result.when has the time zone Europe/Berlin, which would be lost; leave out the serializer" in message
    assert again(Event, Event(when=NIGHT.astimezone(datetime.UTC))).when == NIGHT


def test_a_zone_that_this_machine_does_not_know_is_named() -> None:
    with pytest.raises(ValueNotReadable, match=r"Mars/Olympus .*tzdata"):
        codec(datetime.datetime).decode('"2026-03-28T12:00:00+01:00[Mars/Olympus]"')


def test_a_deque_keeps_its_bound() -> None:
    last = again(deque[int], deque([1, 2], maxlen=2))
    last.append(3)
    assert last == deque([2, 3])
    assert again(deque[int], deque([1, 2])).maxlen is None
    assert again(dict[str, deque[bytes]], {"a": deque([b"\xff"], 3)})["a"] == deque([b"\xff"], 3)


def test_a_defaultdict_keeps_its_factory_where_the_type_of_its_values_says_it() -> None:
    groups = again(defaultdict[str, list[int]], defaultdict(list, {"a": [1]}))
    groups["b"].append(2)
    assert groups == {"a": [1], "b": [2]}
    message = refused(defaultdict[str, list[int]], defaultdict(lambda: [1]))
    assert "result is a defaultdict of <function" in message
    assert "read back as one of list" in message
    assert "return `dict(...)`" in message


def test_fields_that_init_does_not_take_come_back() -> None:
    parcel = Parcel("Ada")
    read = again(Parcel, parcel)
    assert (read.number, read.label, read.weight, read.opened) == (parcel.number, parcel.label, 2.0, [])
    seeded = Seeded(2, 7)
    assert again(list[Seeded], [seeded]) == [seeded]
    assert type(again(Guarded, Guarded(1)).lock) is object


def test_input_that_people_write_still_goes_through_init() -> None:
    read = codec(Seeded).read('{"size": 2, "seed": 7}', lax=True)
    assert isinstance(read, Seeded)
    assert read.numbers == [7, 7]
    named = codec(Named).read('{"name": "x"}', lax=True)
    assert isinstance(named, Named)
    assert codec(list[float]).read("[1]", lax=True) == [1.0]
    assert repr(codec(list[float]).read("[1]", lax=True)) == "[1.0]"


def test_text_that_was_not_written_here_is_read_as_the_class_takes_it() -> None:
    """A manifest's input reaches the function as its author wrote it."""
    seeded = codec(Seeded).decode('{"size": 2, "seed": 7}')
    assert isinstance(seeded, Seeded)
    assert seeded.numbers == [7, 7]
    parcel = codec(Parcel).decode('{"to": "Ada"}')
    assert isinstance(parcel, Parcel)
    assert len(parcel.label) == 32
    person = codec(Person).decode('{"share": 2}')
    assert isinstance(person, Person)
    assert repr(person.share) == "2.0"


def test_a_float_of_a_model_is_a_float_as_pydantic_promises() -> None:
    person = Person()
    person.share = 2  # not checked, unless the model says so
    text, copy = codec(Person).encode(person)
    assert isinstance(copy, Person)
    read = codec(Person).decode(text)
    assert isinstance(read, Person)
    assert repr(copy.share) == repr(read.share) == "2.0"


def test_attributes_that_are_no_fields_are_not_lost_silently() -> None:
    parcel = Parcel("Ada")
    assert parcel.upper == "ADA"  # a cached property is no state
    again(Parcel, parcel)
    parcel.opened.append("Bob")
    assert "result.opened is an attribute that is not a field" in refused(Parcel, parcel)
    parcel = Parcel("Ada")
    parcel.note = "fragile"  # type: ignore[attr-defined]
    assert "result[0].note is an attribute that is not a field" in refused(list[Parcel], [parcel])
    named = Named("x")
    named._seen = 0.5
    assert "result._seen is a private attribute" in refused(Named, named)


@pytest.mark.parametrize(
    "value",
    [
        Address(street="x"),
        Address(street="x", city="Bonn"),
        Person(),
        Person(homes=[Address(street="x"), Address(street="y", city="z")], by_cell={(1, 2): Address(street="x")}),
        Named("x"),
        Homes([Address(street="x")]),
    ],
    ids=lambda value: f"{type(value).__name__}-{len(value.model_fields_set)}",  # some have an id that is new each time
)
def test_a_model_knows_which_fields_were_set(value: BaseModel) -> None:
    read = again(type(value), value)
    assert read.model_fields_set == value.model_fields_set
    assert read.model_dump(exclude_unset=True) == value.model_dump(exclude_unset=True)
    assert read == value


def test_the_unset_fields_are_written_only_where_there_are_some() -> None:
    assert codec(Address).encode(Address(street="x"))[0].endswith('"$unset":["city","since"]}')
    full = Address(street="x", city="y", since=None)
    assert codec(Address).encode(full)[0] == '{"street":"x","city":"y","since":null}'
    # What others write has no such key: then every field that is there was set.
    read = codec(Address).decode('{"street":"x","city":"y"}')
    assert isinstance(read, Address)
    assert read.model_fields_set == {"street", "city"}


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (float, 2, "2"),
        (float, 2.0, "2.0"),
        (float, 2**53 + 1, "9007199254740993"),
        (list[float], [1, 2.5], "[1,2.5]"),
        (dict[str, float | None], {"a": 1}, '{"a":1}'),
        (Annotated[float, Field(gt=0.5)], 2, "2"),
        (float | str, 1, "1"),
        (float, -0.0, "-0.0"),
    ],
)
def test_an_int_under_float_stays_an_int(hint: object, value: object, text: str) -> None:
    read = again(hint, value)
    assert repr(read) == repr(value)
    assert codec(hint).encode(value)[0] == text


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (dict[tuple[int, int], str], {(1, 2): "x"}, '{"[1,2]":"x"}'),
        (dict[Colour, bytes], {Colour.RED: b"\xff"}, '{"1":"_w=="}'),
        (dict[Shape, int], {Shape.LINE: 1}, '{"LINE":1}'),
        (dict[Level, int], {Level.LOW: 1}, '{"low":1}'),
        (dict[Right, int], {Right.READ | Right.WRITE: 1}, '{"3":1}'),
        (dict[int | str, int], {1: 2, "1": 3, "a": 4}, '{"1":2,"\\"1\\"":3,"a":4}'),
        (dict[str | None, int], {None: 1, "None": 2, "null": 3}, '{"null":1,"None":2,"\\"null\\"":3}'),
        (dict[Cell, int], {Cell(1, 2): 1}, '{"{\\"row\\":1,\\"column\\":2}":1}'),
        (dict[float, int], {1: 1, 1.5: 2}, '{"1":1,"1.5":2}'),
        (dict[frozenset[int], int], {frozenset({1}): 1}, '{"[1]":1}'),
        (dict[Literal[1, 2], int], {1: 1}, '{"1":1}'),
        (collections.Counter[tuple[str, int]], collections.Counter({("a", 1): 2}), '{"[\\"a\\",1]":2}'),
        (dict[str, int], {"1": 1, "[1]": 2}, '{"1":1,"[1]":2}'),
    ],
)
def test_keys_of_every_kind_come_back(hint: object, value: dict[object, object], text: str) -> None:
    assert codec(hint).encode(value)[0] == text
    read = again(hint, value)
    assert read == value
    assert [type(key) for key in read] == [type(key) for key in value]


@pytest.mark.parametrize(
    ("hint", "value", "text"),
    [
        (Shape, Shape.LINE, '"LINE"'),
        (Colour, Colour.RED, "1"),
        (Right, Right.READ | Right.WRITE, "3"),
        (list[Shape | int], [Shape.POINT, 3], '["POINT",3]'),
        (Literal[Shape.LINE, Colour.RED, "a"], Shape.LINE, '"LINE"'),
        (Literal[Shape.LINE, Colour.RED, "a"], Colour.RED, "1"),
        (Literal[Shape.LINE, Colour.RED, "a"], "a", '"a"'),
    ],
)
def test_enums_of_every_kind_come_back(hint: object, value: object, text: str) -> None:
    assert codec(hint).encode(value)[0] == text
    read = again(hint, value)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (str, Level.LOW),
        (int, Rank.FIRST),
        (list[str], [Level.LOW]),
        (dict[str, int], {Level.LOW: 1}),
        (str | None, Level.LOW),
    ],
)
def test_a_member_that_behaves_as_text_or_a_number_is_handed_on_as_that_where_the_annotation_says_so(
    hint: object, value: object
) -> None:
    text, copy = codec(hint).encode(value)
    assert repr(copy) == repr(codec(hint).decode(text))
    assert copy == value
    assert "Level" not in repr(copy)
    assert "Rank" not in repr(copy)


@pytest.mark.parametrize(
    ("hint", "value", "place"),
    [
        (Any, Level.LOW, "result is a Level"),
        (dict[str, Any], {"a": [Level.LOW]}, "result['a'][0] is a Level"),
        (list, [Rank.FIRST], "result[0] is a Rank"),
        (dict[str, Any], {Level.LOW: [Level.LOW]}, "is a Level"),
        (str, Mood.GOOD, "result is a Mood"),
    ],
)
def test_where_nothing_says_so_the_member_is_refused(hint: object, value: object, place: str) -> None:
    assert place in refused(hint, value)


def test_a_typed_dict_of_typing_works_on_every_python() -> None:
    row: OldRow = {"when": NIGHT, "count": 1}  # not in the order of the declaration
    assert again(OldRow, row) == row
    rows: OldRows = {"count": 1, "when": NIGHT, "inner": [row]}
    assert again(list[OldRows], [rows]) == [rows]


def test_methods_may_say_self() -> None:
    basket = Basket(["a"])
    for method, value in (
        (Basket.with_item, basket.with_item("b")),
        (Basket.many, Basket.many()),
        (Basket.later, (basket,)),
    ):
        one = ValueCodec.for_result(method, "step 's'")
        assert one.decode(one.encode(value)[0]) == value
    with pytest.raises(ValueNotStorable, match="is a Bigger, and would be read back as a Basket"):
        ValueCodec.for_result(Basket.with_item, "step 's'").encode(Bigger([]).with_item("a"))


def test_self_of_a_class_that_cannot_be_found_is_a_definition_error() -> None:
    class Local:
        def copied(self) -> Self: ...  # type: ignore[empty-body]

    with pytest.raises(DefinitionError, match=r"step 's': .*Self.*Local.copied.*top of its module"):
        ValueCodec.for_result(Local.copied, "step 's'").encode(Local())


def test_bytes_are_blamed_where_bytes_are_the_reason() -> None:
    message = refused(list[Page], [Page(url=HttpUrl("https://example.org"), raw=b"\xff")])
    assert "result[0].raw" in message
    assert "val_json_bytes='base64'" in message
    assert "HttpUrl" not in message


def test_advice_never_leads_to_the_next_error() -> None:
    class Stamp(datetime.datetime):
        pass

    message = refused(datetime.datetime, Stamp(2026, 1, 1))
    assert "is a Stamp, and would be read back as a datetime" in message
    assert "-> Stamp" not in message


def test_flags_of_a_pattern_are_not_lost() -> None:
    assert again(re.Pattern[str], re.compile("a")) == re.compile("a")
    assert "re.IGNORECASE" in refused(re.Pattern[str], re.compile("a", re.IGNORECASE))


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int = 1


def test_extra_fields_are_part_of_a_model() -> None:
    value = Loose(b=2)
    assert again(Loose, value).model_extra == {"b": 2}
    assert "result['b'] is a tuple" in refused(Loose, Loose(b=(1,)))
