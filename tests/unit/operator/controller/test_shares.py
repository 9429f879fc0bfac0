"""Who gets the next place, among namespaces that wait for ever."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure_operator.controller.shares import REMEMBERED, Shares

NAMES = [f"team-{number}" for number in range(5)]
weights = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 5))


@settings(max_examples=50)
@given(weights=weights, total=st.integers(1, 12), ends=st.lists(st.integers(0, 1000), max_size=80))
def test_places_are_shared_by_weight_and_nobody_starves(weights, total, ends):
    shares, order = Shares(weights), list[str]()
    held: Counter[str] = Counter()
    empty_since: dict[str, Counter[str]] = {}

    def share(name):
        return held[name] / weights.get(name, 1)

    def serve():
        name = shares.next(NAMES, held)
        assert name is not None  # somebody waits, so no place stays free
        assert share(name) == min(map(share, NAMES))
        for empty, served in empty_since.items():
            served[name] += empty != name
            assert max(served.values(), default=0) <= 1, "whoever has none is served before another is twice"
        empty_since.pop(name, None)
        held[name] += 1
        order.append(name)
        shares.served(name)

    for name in NAMES:
        empty_since[name] = Counter()
    for _ in range(total):
        serve()
    for end in ends:
        ended = order.pop(end % len(order))
        held[ended] -= 1
        if not held[ended]:
            empty_since[ended] = Counter()
        serve()
        assert sum(held.values()) == total
    # Once each had its turn, they differ by no more than one place.
    for _ in range(2 * total):
        most = max(NAMES, key=share)
        held[most] -= 1
        order.remove(most)
        empty_since.clear()
        serve()
    assert all(share(one) <= share(other) + 1 / weights.get(one, 1) for one in NAMES for other in NAMES)


def test_a_namespace_with_short_runs_keeps_its_part_beside_one_with_long_runs():
    shares, held = Shares({}), Counter(long=5, short=5)
    for _ in range(1000):
        held["short"] -= 1
        chosen = shares.next(["long", "short"], held)
        assert chosen == "short"
        held[chosen] += 1
        shares.served(chosen)


def test_nobody_waits():
    assert Shares({}).next([], {}) is None


def test_of_namespaces_without_end_the_newest_are_remembered():
    shares = Shares({})
    for number in range(REMEMBERED + 5):
        shares.served(f"team-{number}")
        shares.served("often")
    assert len(shares._served) == REMEMBERED
    newest = f"team-{REMEMBERED + 4}"
    assert shares.next([newest, "often"], {}) == newest
    # One that is forgotten was served before all others, as one that is new.
    assert shares.next([newest, "team-0"], {}) == "team-0"
