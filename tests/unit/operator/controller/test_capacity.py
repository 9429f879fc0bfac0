"""Places for active runs, and who gets the next one."""

from __future__ import annotations

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from perdure_operator.controller.capacity import Capacity, Places
from perdure_operator.decide.observed import Key

KEYS = [Key(namespace, name) for namespace in "ab" for name in "123"]
UIDS = {key: UUID(int=number) for number, key in enumerate(KEYS, 1)}


def of(places):
    told: list[Key] = []
    return Capacity(places, told.append), told


def test_without_a_limit_everybody_has_a_place():
    capacity, _ = of(Places())
    assert all(capacity.take(key, uuid4()) for key in KEYS)


def test_whoever_waits_longest_is_told_and_has_the_place():
    capacity, told = of(Places(total=1))
    first, second, third = KEYS[:3]
    assert capacity.take(first, UIDS[first])
    assert not capacity.take(third, UIDS[third])
    assert not capacity.take(second, UIDS[second])
    assert not capacity.take(third, UIDS[third])
    capacity.settle(first, UIDS[first], held=False)
    assert told == [third]
    assert "1 runs are active" in (capacity.refusal(first, UIDS[first]) or "")
    assert capacity.refusal(third, UIDS[third]) is None
    capacity.settle(third, UIDS[third], held=False)  # it was suspended meanwhile
    assert told == [third, second]


def test_the_namespace_that_has_fewest_for_its_weight_is_served_first():
    capacity, told = of(Places(total=4, weights={"a": 3}))
    for key in [key for key in KEYS if key.namespace == "b"]:
        capacity.take(key, UIDS[key])
    for number in range(9):
        capacity.take(Key("a", f"more-{number}"), UUID(int=100 + number))
    assert capacity.held_by_namespace() == {("a",): 1, ("b",): 3}
    assert capacity.waiting_by_namespace() == {("a",): 8}
    for key in [key for key in KEYS if key.namespace == "b"]:
        capacity.settle(key, UIDS[key], held=False)
        capacity.wait(key, UIDS[key])
    assert capacity.held_by_namespace() == {("a",): 3, ("b",): 1}
    assert capacity.waiting_by_namespace() == {("a",): 6, ("b",): 2}
    assert len(told) == 3


def test_a_place_is_wanted_if_somebody_waits_who_could_have_it():
    capacity, _ = of(Places(total=3, per_namespace=1))
    a, b = KEYS[0], KEYS[3]
    capacity.take(a, UIDS[a])
    assert not capacity.wanted(a, UIDS[a])
    capacity.take(b, UIDS[b])
    capacity.take(KEYS[1], UIDS[KEYS[1]])
    assert capacity.wanted(a, UIDS[a])
    assert not capacity.wanted(b, UIDS[b])  # which would be of no use to the other namespace
    assert not capacity.wanted(KEYS[1], UIDS[KEYS[1]])  # it has none


def test_a_full_namespace_holds_up_nobody_else():
    capacity, told = of(Places(total=3, per_namespace=1))
    for key in KEYS:
        capacity.take(key, UIDS[key])
    assert (capacity.held, capacity.waiting) == (2, 4)
    capacity.settle(KEYS[3], UIDS[KEYS[3]], held=False)
    assert told == [KEYS[4]]


@given(
    total=st.integers(1, 4),
    per_namespace=st.integers(1, 3),
    moves=st.lists(st.tuples(st.sampled_from(["take", "end", "give up"]), st.sampled_from(KEYS))),
)
def test_never_more_than_there_are_and_nobody_waits_for_a_free_one(total, per_namespace, moves):
    capacity, _ = of(Places(total, per_namespace))
    for move, key in moves:
        if move == "take":
            capacity.take(key, UIDS[key])
        else:
            capacity.settle(key, UIDS[key], held=False)
        held = [key for key in KEYS if UIDS[key] in capacity._holders]
        assert capacity.held == len(held) <= total
        for namespace in "ab":
            inside = sum(key.namespace == namespace for key in held)
            assert inside <= per_namespace
            if capacity._waiting.get(namespace):
                assert len(held) == total or inside == per_namespace


def test_a_namespace_without_places_leaves_nothing_behind():
    capacity, _ = of(Places(total=5))
    for key in KEYS[:4]:
        capacity.take(key, UIDS[key])
    for key in KEYS[:4]:
        capacity.settle(key, UIDS[key], held=False)
    assert dict(capacity._held) == {}
