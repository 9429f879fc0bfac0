"""Fingerprints of calls: one for each way to write a call, another for another call."""

from __future__ import annotations

import functools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import step
from perdure.errors import DefinitionError
from perdure.serialization.fingerprint import NO_ARGUMENTS, Fingerprint, keyed_hash, shown_call

KEY = keyed_hash(b"k" * 16)


def pay(account: str, amount: int = 1, *rest: object, note: str | None = None, tags: Any = (), **more: object) -> None:
    """A function with every kind of parameter."""


def digits(function: Any, *args: object, **kwargs: object) -> str:
    fingerprint = Fingerprint(function)
    # Calls by position are bound another way once there was one like them.
    [found] = {fingerprint.take(args, kwargs, KEY).digits for _ in range(3)}
    assert found is not None
    assert len(found) == 32
    return found


VALUES = st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.dictionaries(st.text(), st.integers())


@given(VALUES, VALUES, VALUES)
def test_by_position_and_by_name_is_one_call(account: Any, amount: Any, note: Any) -> None:
    expected = digits(pay, account, amount, note=note)
    assert digits(pay, amount=amount, note=note, account=account) == expected
    assert digits(pay, account, note=note, amount=amount) == expected


@given(VALUES)
def test_a_default_that_is_given_is_left_out(account: Any) -> None:
    expected = digits(pay, account)
    assert digits(pay, account, 1, note=None, tags=()) == expected
    assert digits(pay, account, True) != expected, "it is equal, and of another type"
    assert digits(pay, account, note="") != expected


def test_a_parameter_with_a_default_that_is_added_changes_nothing() -> None:
    def before(account: str) -> None: ...
    def after(account: str, currency: str = "EUR", *, rates: dict[str, int] = {"a": 1}) -> None: ...  # noqa: B006

    assert digits(before, "ada") == digits(after, "ada") == digits(after, "ada", rates={"a": 1})
    assert digits(before, "ada") != digits(after, "ada", "USD")


def test_parameters_may_change_places() -> None:
    def before(account: str, amount: int) -> None: ...
    def after(amount: int, account: str) -> None: ...

    assert digits(before, "ada", 1) == digits(after, 1, "ada")


@given(st.lists(VALUES), st.lists(VALUES))
def test_further_arguments_count(some: list[Any], others: list[Any]) -> None:
    same = repr(some) == repr(others)
    assert (digits(pay, "a", 1, *some) == digits(pay, "a", 1, *others)) == same


def test_a_positional_parameter_and_a_further_one_of_its_name() -> None:
    def f(a: int, /, **more: int) -> None: ...

    assert len({digits(f, 1, a=2), digits(f, 2, a=1), digits(f, 1), digits(f, 1, b=2)}) == 4


def test_no_arguments_and_wrong_ones() -> None:
    assert digits(lambda: None) == NO_ARGUMENTS
    assert digits(lambda: None, 1, x=2) not in (NO_ARGUMENTS, digits(lambda: None, 1, x=3))


def test_what_a_partial_and_a_method_are_bound_to_counts() -> None:
    class Box(list[int]):
        def put(self, more: int) -> None: ...

    def plain(account: str, amount: int) -> None: ...

    assert digits(functools.partial(plain, "ada"), 1) == digits(plain, "ada", 1)
    assert digits(functools.partial(plain, amount=2), "ada", amount=1) == digits(plain, "ada", 1)
    assert digits(Box([1]).put, 1) != digits(Box([2]).put, 1)
    assert digits(Box([1]).put, 1) == digits(Box.put, Box([1]), 1)
    assert digits([1].append, 1) == digits(list.append, [1], 1) != digits([2].append, 1)
    assert digits({1: 2}.update, {}) == digits(dict.update, {1: 2}, {}) != digits({1: 3}.update, {})
    assert digits("-".join, ["a"]) != digits("+".join, ["a"])


def test_functions_without_a_signature() -> None:
    assert digits(max, 1, 2) != digits(max, 2, 1)
    assert digits(dict, a=1) != digits(dict, a=2)


def test_a_wrapped_function_is_bound_as_its_inner_one() -> None:
    def inner(account: str, amount: int = 1) -> None: ...

    @functools.wraps(inner)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return inner(*args, **kwargs)

    assert digits(outer, "ada", 1) == digits(outer, account="ada") == digits(inner, "ada")


def test_another_key_gives_other_digits() -> None:
    fingerprint = Fingerprint(pay)
    first, second = (fingerprint.take(("a",), {}, keyed_hash(key * 16)) for key in (b"1", b"2"))
    assert first.digits != second.digits


def test_excluded_parameters_do_not_count() -> None:
    fingerprint = Fingerprint(pay, ("amount", "note"))
    taken = fingerprint.take(("a", [1]), {"note": "x"}, KEY)
    assert {fingerprint.take(("a", [n]), {}, KEY).digits for n in range(3)} == {taken.digits}
    assert taken.digits == fingerprint.take(("a", [2]), {}, KEY).digits != fingerprint.take(("b",), {}, KEY).digits
    assert taken.changeable is None


def test_excluding_what_is_not_there_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"step 'charge': fingerprint_exclude names 'sesion'.*session"):

        @step(fingerprint_exclude=("sesion",))
        def charge(session: object) -> None: ...

    with pytest.raises(DefinitionError, match="a tuple of names"):

        @step(fingerprint_exclude="session")
        def pay(session: object) -> None: ...


def test_changes_are_found_and_named() -> None:
    fingerprint = Fingerprint(pay)
    messages, tags = [{"role": "user"}], {"a"}
    args, kwargs = (messages,), {"tags": tags, "note": "x"}
    taken = fingerprint.take(args, kwargs, KEY)
    assert fingerprint.changed(taken, args, kwargs) is None
    tags.add("b")
    assert fingerprint.changed(taken, args, kwargs) == "tags"
    tags.remove("b")
    assert fingerprint.changed(taken, args, kwargs) is None
    messages[0]["role"] = "tool"
    assert fingerprint.changed(taken, args, kwargs) == "account"


def test_an_argument_that_becomes_its_default_has_changed() -> None:
    fingerprint = Fingerprint(pay)
    kwargs: dict[str, Any] = {"tags": [1]}
    taken = fingerprint.take(("a",), kwargs, KEY)
    kwargs["tags"].clear()
    assert fingerprint.changed(taken, ("a",), kwargs) == "tags"


def test_a_stack_without_room_makes_no_error() -> None:
    fingerprint = Fingerprint(pay)
    deep: Any = []
    for _ in range(90):
        deep = [deep, []]

    def down() -> None:
        try:
            down()
        except RecursionError:
            fingerprint.take((deep,), {}, KEY)

    down()


def test_the_call_in_messages() -> None:
    class Client: ...

    assert shown_call(pay, "pay", ("ada", 2), {"tags": Client()}) == "pay(account='ada', amount=2, tags=<Client>)"
    assert len(shown_call(pay, "pay", ("a" * 10_000, list(range(10_000))), {"x": "y" * 500})) < 301


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [(("order-17",), {}), (("a", 2), {"note": "x"}), (([1, 2, 3],), {}), (({"id": 1, "total": 2.5},), {})],
)
def test_it_takes_at_most_20_microseconds(args: Any, kwargs: Any) -> None:
    fingerprint = Fingerprint(pay)
    best = float("inf")
    for _ in range(200):
        began = time.perf_counter_ns()
        for _ in range(20):
            fingerprint.changed(fingerprint.take(args, kwargs, KEY), args, kwargs)
        best = min(best, (time.perf_counter_ns() - began) / 20_000)
    assert best < 20
