"""Which finished Workflows are surplus."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from perdure_operator.controller.history import Finished, RetentionPolicy, surplus
from perdure_operator.decide.observed import Key

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def ended(
    number: int, ago: float, *, namespace: str = "shop", succeeded: bool = True, own_ttl: bool = False
) -> Finished:
    at = NOW - timedelta(seconds=ago)
    return Finished(Key(namespace, f"w{number}"), UUID(int=number), at, succeeded, own_ttl)


everything = st.lists(
    st.builds(
        ended,
        st.integers(1, 10_000),
        st.integers(0, 1000),
        namespace=st.sampled_from("ab"),
        succeeded=st.booleans(),
        own_ttl=st.booleans(),
    ),
    unique_by=lambda one: one.uid,
)
limits = st.none() | st.integers(0, 5)


def test_by_default_all_are_kept() -> None:
    assert RetentionPolicy().all
    assert surplus([ended(1, 1e9), ended(2, 1e9, succeeded=False)], RetentionPolicy(), NOW) == []


def test_the_newest_of_each_namespace_and_kind_are_kept() -> None:
    mine = [ended(number, ago=number) for number in range(1, 5)]
    theirs = [ended(9, 99, namespace="other"), ended(8, 99, succeeded=False)]
    assert surplus([*mine, *theirs], RetentionPolicy(successful=2), NOW) == [mine[3], mine[2]]
    assert surplus([*mine, *theirs], RetentionPolicy(failed=0), NOW) == [theirs[1]]


def test_after_their_time_those_go_that_do_not_name_one_themselves() -> None:
    old, own, new = ended(1, 10), ended(2, 10, own_ttl=True), ended(3, 9)
    assert surplus([new, own, old], RetentionPolicy(ttl=10), NOW) == [old]
    assert surplus([new, own, old], RetentionPolicy(ttl=10, successful=0), NOW) == [old, own, new]


@given(everything, limits, limits)
def test_no_more_than_asked_for_are_left_and_no_newer_one_goes_before_an_older(
    finished: list[Finished], successful: int | None, failed: int | None
) -> None:
    gone = surplus(finished, RetentionPolicy(successful=successful, failed=failed), NOW)
    for namespace in "ab":
        for kept, succeeded in ((successful, True), (failed, False)):
            line = [one for one in finished if one.key.namespace == namespace and one.succeeded == succeeded]
            left = [one for one in line if one not in gone]
            assert len(left) == (len(line) if kept is None else min(kept, len(line)))
            assert not left or all(one.at <= min(one.at for one in left) for one in line if one in gone)
