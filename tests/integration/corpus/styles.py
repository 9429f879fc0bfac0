"""Ways to write Python: classes, inheritance, closures, generators, contexts, models, errors with causes."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import enum
import functools
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, ParamSpec, Protocol, TypeVar

from pydantic import BaseModel, field_validator

import perdure
from perdure import run_step, step, workflow

from .outside import tell

P = ParamSpec("P")
T = TypeVar("T")


class Shop:
    """A class whose methods are steps; its state is made of their results."""

    currency = "EUR"

    def __init__(self, name: str) -> None:
        self.name = name
        self.basket: list[str] = []
        self.total = 0

    @step
    def price(self, item: str) -> int:
        tell("price", item)
        return len(item)

    def add(self, item: str) -> None:
        self.total += self.price(item)
        self.basket.append(item)

    def run(self, items: list[str]) -> str:
        for item in items:
            self.add(item)
        return f"{self.name}: {self.total} {self.currency}"


class CheapShop(Shop):
    currency = "USD"

    @step
    def price(self, item: str) -> int:
        tell("cheap price", item)
        return len(item) // 2

    def add(self, item: str) -> None:
        super().add(item)
        super().add(f"free {item}")


@workflow
def classes(items: list[str]) -> list[str]:
    return [Shop("corner").run(items), CheapShop("outlet").run(items)]


class Stack(Generic[T]):
    def __init__(self) -> None:
        self._items: list[T] = []

    def push(self, item: T) -> None:
        self._items.append(item)

    def drain(self) -> Iterator[T]:
        while self._items:
            yield self._items.pop()


@step
def note(what: str) -> str:
    tell("note", what)
    return what


@workflow
def generics_and_generators(words: list[str]) -> list[str]:
    stack: Stack[str] = Stack()
    for word in words:
        stack.push(note(word))
    return [note(word * 2) for word in stack.drain()]


def logged(function: Callable[P, T]) -> Callable[P, T]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        note(f"enter {function.__name__}")
        try:
            return function(*args, **kwargs)
        finally:
            note(f"leave {function.__name__}")

    return wrapper


@workflow
def closures_and_partials(names: list[str]) -> list[str]:
    @logged
    def greet(greeting: str, name: str) -> str:
        return note(f"{greeting} {name}")

    greeters = [functools.partial(greet, greeting) for greeting in ("hello", "bye")]
    return [greeter(name) for name in names for greeter in greeters]


@workflow
def exit_stacks(names: list[str]) -> list[str]:
    done: list[str] = []

    @contextlib.contextmanager
    def held(name: str) -> Iterator[str]:
        yield note(f"take {name}")
        done.append(note(f"give {name}"))

    with contextlib.ExitStack() as stack:
        done += [stack.enter_context(held(name)) for name in names]
        stack.callback(done.append, note("all"))
    return done


class Light(enum.Enum):
    RED = enum.auto()
    GREEN = enum.auto()
    YELLOW = enum.auto()


@step
def next_light(light: Light) -> Light:
    tell("light", light.name)
    return Light(light.value % 3 + 1)


@workflow
def lights(turns: int) -> dict[str, int]:
    light = Light.RED
    seen: dict[str, int] = {}
    for _ in range(turns):
        seen[light.name] = seen.get(light.name, 0) + 1
        light = next_light(light)
    return seen


class Address(BaseModel):
    street: str
    zip: int


class Customer(BaseModel):
    name: str
    address: Address | None = None
    tags: frozenset[str] = frozenset()

    @field_validator("name")
    @classmethod
    def _strip(cls, name: str) -> str:
        return name.strip()


@step
def enrich(customer: Customer) -> Customer:
    tell("enrich", customer.name)
    return customer.model_copy(update={"address": Address(street="Main", zip=len(customer.name))})


@workflow
def models(names: list[str]) -> list[Customer]:
    customers = [Customer(name=name, tags=frozenset({name[0]})) for name in names]
    return [enrich(one) if one.name != "bob" else one for one in map(enrich, customers)]


class Point(NamedTuple):
    x: int
    y: int


@step
def move(point: Point, by: tuple[int, int] = (1, 1)) -> Point:
    tell("move", list(point))
    return Point(point.x + by[0], point.y + by[1])


@workflow
def tuples(times: int) -> Point:
    point = Point(0, 0)
    for n in range(times):
        point = move(point) if n % 2 else move(point, by=(n, -n))
    return point


class Failed(Exception):
    """What went wrong, and where."""


class Speaker(Protocol):
    def __call__(self, what: str) -> str: ...


@step
def parse(text: str) -> int:
    tell("parse", text)
    try:
        return int(text)
    except ValueError as error:
        error.add_note(f"in {text!r}")
        raise Failed(f"no number: {text}") from error


def quietly(what: str) -> str:
    return what.lower()


@workflow
def causes(texts: list[str], loud: bool) -> list[str]:
    speak: Speaker = note if loud else quietly
    said = []
    for text in texts:
        try:
            said.append(speak(f"GOT {parse(text)}"))
        except Failed as error:
            said.append(speak(f"BAD {error} {type(error.__cause__).__name__}"))
    return said


@workflow
def unhandled(texts: list[str]) -> int:
    total = 0
    try:
        for text in texts:
            total += parse(text)
    finally:
        note(f"total {total}")
    return total


REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("request")


@step
async def answer(number: int) -> str:
    tell("answer", number)
    return f"{number} for {REQUEST.get()}"


@workflow
async def context_variables(users: list[str]) -> list[str]:
    async def one(user: str) -> str:
        REQUEST.set(user)
        await asyncio.sleep(0)
        return await answer(len(user))

    return await asyncio.gather(*map(one, users))


@workflow
def inner(words: list[str]) -> int:
    return sum(len(note(word)) for word in words)


@workflow
def nested_workflows(words: list[str]) -> int:
    return inner(words) * inner(list(reversed(words)))


@dataclasses.dataclass(frozen=True, order=True)
class Version:
    major: int
    minor: int = 0
    parts: tuple[str, ...] = ()


@workflow
def unmarked_functions(count: int) -> list[Version]:
    def bump(version: Version) -> Version:
        tell("bump", version.major)
        return dataclasses.replace(version, major=version.major + 1, parts=(*version.parts, "x"))

    versions = [Version(1)]
    for _ in range(count):
        versions.append(run_step("bump", bump, versions[-1]))
    return sorted(versions, reverse=True)


@workflow
def methods_in_threads(items: list[str]) -> list[int]:
    shop = Shop("threads")
    with perdure.ThreadPoolExecutor(2) as pool:
        return list(pool.map(shop.price, items))


PROGRAMS = [
    (classes, (["tea", "milk"],)),
    (generics_and_generators, (["a", "b"],)),
    (closures_and_partials, (["ada", "bob"],)),
    (exit_stacks, (["door", "window"],)),
    (lights, (4,)),
    (models, ([" ada", "bob"],)),
    (tuples, (3,)),
    (causes, (["1", "x"], True)),
    (causes, (["x", "2"], False)),
    (unhandled, (["1", "x", "3"],)),
    (context_variables, (["ada", "bo"],)),
    (nested_workflows, (["a", "bb"],)),
    (unmarked_functions, (2,)),
    (methods_in_threads, (["tea", "milk"],)),
]
