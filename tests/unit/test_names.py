"""Paths of branches, and keys made of them."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from perdure.names import child_path, hash_seed, may_descend, path_order, step_key, step_name

NUMBERS = st.lists(st.integers(1, 30), max_size=400)


def path_of(numbers: list[int]) -> str:
    path = ""
    for number in numbers:
        path = child_path(path, number)
    return path


def test_short_paths_are_as_they_are_read() -> None:
    assert path_of([]) == ""
    assert path_of([3, 1, 12]) == "3.1.12"
    assert path_of([1] * 40) == ".".join(["1"] * 40)


@given(NUMBERS)
def test_no_path_is_long(numbers: list[int]) -> None:
    path = path_of(numbers)
    assert len(path) < 150
    assert step_name(step_key(path, "charge", 2)) == "charge"


@given(NUMBERS, NUMBERS)
def test_two_branches_have_two_paths(some: list[int], others: list[int]) -> None:
    assert (path_of(some) == path_of(others)) == (some == others)


@given(NUMBERS, st.integers(1, 1000), st.integers(1, 1000))
def test_siblings_are_in_the_order_of_their_creation(numbers: list[int], one: int, other: int) -> None:
    parent = path_of(numbers)
    orders = [path_order(child_path(parent, number)) for number in sorted((one, other))]
    assert orders == sorted(orders)


@given(NUMBERS, st.lists(st.integers(1, 30), min_size=1, max_size=400))
def test_a_branch_comes_before_those_that_it_creates(numbers: list[int], below: list[int]) -> None:
    path, child = path_of(numbers), path_of(numbers + below)
    assert path_order(path) < path_order(child)
    assert may_descend(child, path) or not path


def test_a_short_path_does_not_descend_from_another() -> None:
    assert may_descend("1.2", "1")
    assert not may_descend("12", "1")
    assert not may_descend("1", "1.2")


@given(st.uuids())
def test_a_hash_seed_is_one_that_python_takes(run: UUID) -> None:
    assert 0 <= hash_seed(run) <= 4294967295
    assert hash_seed(run) == hash_seed(UUID(str(run)))


def test_ten_thousand_generations_in_no_time() -> None:
    path = path_of([2] * 10_000)
    assert len(path) < 150
    assert path_order(path) > path_order(path_of([2] * 9_999))
