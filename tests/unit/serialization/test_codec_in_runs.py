"""A workflow that lives on what hides behind values gives the same, wherever it is killed."""

from __future__ import annotations

import datetime
import enum
import uuid
import zoneinfo
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Self

import pytest
from pydantic import BaseModel

from perdure import step, workflow
from perdure.testing import kills


class Size(enum.Enum):
    SMALL = (1, 2)
    LARGE = (3, 4)


@dataclass
class Parcel:
    sent: datetime.datetime
    size: Size
    number: uuid.UUID = field(init=False, default_factory=uuid.uuid4)


class Stop(BaseModel):
    name: str
    minutes: int = 5


@dataclass
class Basket:
    prices: list[float]

    @step
    def add(self, price: float) -> Self:
        return type(self)([*self.prices, price])


@step
def send(when: datetime.datetime) -> Parcel:
    return Parcel(when, Size.LARGE)


@step
def label(number: uuid.UUID) -> uuid.UUID:
    return number


@step
def last_three(numbers: list[int]) -> deque[int]:
    return deque(numbers, maxlen=3)


@step
def by_length(words: list[str]) -> defaultdict[int, list[str]]:
    found: defaultdict[int, list[str]] = defaultdict(list)
    for word in words:
        found[len(word)].append(word)
    return found


@step
def stops() -> dict[tuple[int, int], Stop]:
    return {(1, 2): Stop(name="a"), (3, 4): Stop(name="b", minutes=5)}


@workflow
def delivery(when: datetime.datetime) -> dict[str, str]:
    parcel = send(when)
    same = label(parcel.number)
    window = last_three([1, 2, 3])
    window.append(4)
    words = by_length(["tea", "milk"])
    words[9].append("chocolate")
    basket = Basket([]).add(2).add(0.5)
    return {
        "next day": (parcel.sent + datetime.timedelta(days=1)).isoformat(),
        "size": repr(parcel.size),
        "same number": str(same == parcel.number),
        "window": repr(list(window)),
        "words": repr(dict(words)),
        "prices": repr(basket.prices),
        "stops": repr({place: stop.model_dump(exclude_unset=True) for place, stop in stops().items()}),
    }


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC"])
def test_each_kill_gives_what_the_plain_call_gives(zone: str) -> None:
    noon = datetime.datetime(2026, 3, 28, 12, tzinfo=zoneinfo.ZoneInfo(zone))
    expected = delivery(noon)
    assert expected["stops"] == "{(1, 2): {'name': 'a'}, (3, 4): {'name': 'b', 'minutes': 5}}"
    for run in kills(delivery, noon):
        assert run.result() == expected
