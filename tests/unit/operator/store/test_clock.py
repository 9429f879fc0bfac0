"""How long ago something happened, whatever the clocks do."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from perdure_operator.store.clock import EventAges

RUN = UUID(int=1)


def test_the_first_age_is_the_servers_and_goes_on_by_our_own_clock() -> None:
    now = [50.0]
    ages = EventAges(lambda: now[0])
    assert ages.of(RUN, "claim", "a", 3.0) == 3.0
    now[0] += 4
    assert ages.of(RUN, "claim", "a", 1e9) == 7.0
    assert ages.of(RUN, "claim", "b", -5.0) == 0.0
    assert ages.of(RUN, "start", "a", 1.0) == 1.0
    assert ages.of(UUID(int=2), "claim", "a", 2.0) == 2.0
    ages.forget(RUN)
    assert ages.of(RUN, "claim", "b", 9.0) == 9.0
    ages.forget(UUID(int=3))
    assert len(ages) == 2


@given(first=st.floats(0, 1e6), jumps=st.lists(st.tuples(st.floats(0, 100), st.floats(-1e9, 1e9)), max_size=20))
def test_no_jump_of_the_servers_clock_shows(first: float, jumps: list[tuple[float, float]]) -> None:
    now = [0.0]
    ages = EventAges(lambda: now[0])
    assert ages.of(RUN, "claim", 1, first) == first
    for passed, said in jumps:
        now[0] += passed
        assert ages.of(RUN, "claim", 1, said) == first + now[0]
