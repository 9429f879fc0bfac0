"""Input: arguments as one JSON object, checked against the function and named when they do not fit."""

from __future__ import annotations

import datetime
import functools
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from perdure.errors import DefinitionError, InputError, ValueNotStorable, ValueProblem
from perdure.serialization.arguments import Signature


@dataclass
class Order:
    items: list[int]
    raw: bytes = b""


class Money(BaseModel):
    amount: int = Field(alias="Amount")


def transfer(source: str, target: str, amount: int = 3, *, on: datetime.date | None = None) -> None: ...


def positional(a: int, b: int = 2, /, c: Any = 3, **more: datetime.date) -> None: ...


def ordering(order: Order, money: Money | None = None, tags: set[str] = frozenset()) -> None: ...  # type: ignore[assignment]


def nothing() -> None: ...


DAY = datetime.date(2024, 2, 29)


def of(function: Callable[..., object]) -> Signature:
    return Signature.of(function, f"workflow {function.__name__!r}")


def test_text_is_canonical_and_leaves_defaults_out() -> None:
    one = of(transfer)
    text = '{"source":"a","target":"b","on":"2024-02-29"}'
    assert one.encode(("a", "b"), {"on": DAY}) == text
    assert one.encode((), {"on": DAY, "target": "b", "source": "a"}) == text
    assert one.check({"on": "2024-02-29", "target": "b", "source": "a"}) == text
    assert one.decode(text) == ((), {"source": "a", "target": "b", "on": DAY})
    assert of(nothing).encode((), {}) == of(nothing).check(None) == "{}"


def test_positional_only_and_further_keywords() -> None:
    one = of(positional)
    text = one.encode((1,), {"z": DAY, "c": [5], "y": DAY})
    assert text == '{"a":1,"c":[5],"y":"2024-02-29","z":"2024-02-29"}'
    assert one.check({"z": "2024-02-29", "y": "2024-02-29", "c": [5], "a": 1}) == text
    assert one.decode(text) == ((1, 2), {"c": [5], "y": DAY, "z": DAY})
    assert one.decode('{"a":1,"b":7}') == ((1, 7), {})


def test_values_are_read_back_by_their_types() -> None:
    one = of(ordering)
    text = one.encode((Order([1], b"\xff"),), {"money": Money(Amount=3)})
    assert one.decode(text) == ((), {"order": Order([1], b"\xff"), "money": Money(Amount=3)})


def test_a_person_may_write_what_json_allows() -> None:
    assert of(transfer).check({"source": "a", "target": "b", "amount": "12"}).endswith('"amount":12}')
    text = of(ordering).check({"order": {"items": [1]}, "money": {"Amount": 4}})
    assert of(ordering).decode(text)[1]["money"] == Money(Amount=4)


@pytest.mark.parametrize(
    ("document", "parts"),
    [
        (
            {"source": "a", "target": "b", "amuont": 1},
            ["'amuont' is no argument of transfer; it takes source, target, amount, on; did you mean 'amount'?"],
        ),
        ({"source": "a"}, ["'target' is missing"]),
        (None, ["'source' and 'target' are missing"]),
        ({"source": "a", "target": "b", "amount": "x12"}, ["amount: ", "valid integer", "(found 'x12')"]),
        ({"source": "a", "target": ["b" * 500]}, ["target: ", "valid string", "bbb..."]),
        ({"source": "a", "target": "b", "amount": float("nan")}, ["amount is nan"]),
        ({"source": "a\x00", "target": "b"}, ["source has a NUL"]),
        ({"source": "a", 3: "b"}, ["the key 3 is no argument name"]),
        ({"source": "a", "target": "b", "on": object()}, ["no JSON"]),
        ([1], ["input is an object whose keys are argument names", '{"source": ...', "list: [1]"]),
        ("a", ["input is an object whose keys are argument names"]),
    ],
    ids=range(11),
)
def test_what_does_not_fit_is_named(document: object, parts: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        of(transfer).check(document)
    message = str(caught.value)
    assert [part for part in ["workflow 'transfer'", *parts] if part not in message] == [], message
    assert len(message) < 400


def test_the_place_inside_an_argument_is_named() -> None:
    with pytest.raises(InputError, match=r"order\['items'\]\[1\]: .*found 'x'"):
        of(ordering).check({"order": {"items": [1, "x"]}})


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "message"),
    [
        (transfer, ("a", "b", 1, DAY), {}, "takes 3 positional arguments"),
        (transfer, ("a",), {"source": "b"}, "'source' is given twice"),
        (transfer, ("a",), {}, "'target' is missing"),
        (transfer, ("a", "b"), {"amuont": 1}, "did you mean 'amount'"),
        (transfer, ("a", "b", "12"), {}, "amount: .*valid integer.*'12'"),
        (positional, (1,), {"b": 3}, "'b' is a positional-only argument"),
        (positional, (1,), {"x": "soon"}, "x: .*date"),
    ],
)
def test_a_call_that_does_not_fit_is_refused(
    function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        of(function).encode(args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [((1,), {"c": (1, 2)}, "c is a tuple"), ((1,), {"c": object()}, "c is an object"), ((True,), {}, "a is a bool")],
)
def test_arguments_that_would_not_survive_are_refused(
    args: tuple[object, ...], kwargs: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueNotStorable, match=message):
        of(positional).encode(args, kwargs)


@pytest.mark.parametrize("text", ["[]", "{", '{"source":1,"target":"b"}', '{"source":"a"}', '{"gone":1}', "3"])
def test_stored_input_that_no_longer_fits_is_an_input_error(text: str) -> None:
    with pytest.raises(InputError, match="workflow 'transfer'"):
        of(transfer).decode(text)


def test_args_without_names_are_refused_at_definition() -> None:
    def many(*rows: int) -> None: ...

    with pytest.raises(DefinitionError, match=r"takes \*rows.*rows: list"):
        of(many)


def test_annotations_are_resolved_at_first_use() -> None:
    def lost(a: Missing, b: int) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    one = of(lost)
    with pytest.raises(DefinitionError, match=r"argument 'a'.*Missing"):
        one.encode((1, 2), {})


def test_a_partial_takes_what_is_left() -> None:
    left = functools.partial(transfer, amount=5)
    assert Signature.of(left, "workflow 'left'").encode(("a", "b"), {}) == '{"source":"a","target":"b"}'


def test_inputs_are_the_same_whatever_the_order_of_a_set() -> None:
    one = of(ordering)
    left, right = ('{"order":{"items":[]},"tags":["a","b"]}', '{"order":{"items":[]},"tags":["b","a"]}')
    assert one.same(left, right)
    assert not one.same(left, '{"order":{"items":[]},"tags":["b"]}')


@given(
    st.integers(), st.none() | st.text() | st.lists(st.integers()), st.dictionaries(st.text(), st.dates(), max_size=3)
)
def test_what_is_written_is_what_the_function_gets(a: int, c: object, more: dict[str, datetime.date]) -> None:
    one = of(positional)
    try:
        text = one.encode((a,), {"c": c} | more)
    except ValueProblem:
        return
    args, kwargs = one.decode(text)
    assert (args, kwargs) == ((a, 2), {"c": c} | more)
    assert one.check(json.loads(text)) == text


class Numbered(BaseModel):
    name: str
    tags: list[str] = Field(default_factory=list)
    number: uuid.UUID = Field(default_factory=uuid.uuid4)


@dataclass
class Labelled:
    name: str
    label: str = field(init=False, default_factory=lambda: uuid.uuid4().hex)


def numbering(order: Numbered, label: Labelled | None = None) -> None: ...


def test_input_that_would_be_another_in_each_attempt_is_refused() -> None:
    """A manifest's input is read as it was written, by each attempt anew."""
    one = Signature.of(numbering, "workflow 'numbering'")
    with pytest.raises(InputError, match=r"order.number is left out .* another value in each attempt; give it"):
        one.decode('{"order":{"name":"a"}}')
    number = uuid.UUID(int=7)
    with pytest.raises(InputError, match=r"label.label is left out"):
        one.decode(f'{{"order":{{"name":"a","number":"{number}"}},"label":{{"name":"x"}}}}')
    _, arguments = one.decode(f'{{"order":{{"name":"a","number":"{number}"}}}}')
    assert arguments == {"order": Numbered(name="a", number=number)}
    # What a client of this process starts is stored as it was read.
    stored = one.check({"order": {"name": "a"}})
    assert one.decode(stored) == one.decode(stored)
    assert one.same(stored, stored)
    assert not one.same(stored, one.check({"order": {"name": "a"}}))
