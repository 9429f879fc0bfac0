"""Concurrent replay is deterministic: random programs, killed after each checkpoint in turn, decide as they decided."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.scale import SCALE

from . import programs

_leaf = st.one_of(
    st.tuples(st.just("step"), st.integers(0, 40)).map(list),
    st.tuples(st.just("fail"), st.integers(0, 40)).map(list),
    st.tuples(st.just("sleep"), st.integers(0, 30)).map(list),
)


def _several(kind: str, nodes: st.SearchStrategy[Any], *front: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.tuples(st.just(kind), *front), st.lists(nodes, min_size=1, max_size=4)).map(
        lambda t: [*t[0], *t[1]]
    )


def _compound(nodes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    milliseconds = st.integers(0, 50)
    return st.one_of(
        _several("seq", nodes),
        _several("gather", nodes),
        _several("group", st.one_of(nodes, st.tuples(st.just("raise"), st.integers(0, 40)).map(list))),
        _several("wait", nodes, st.booleans(), st.booleans()),
        _several("as_completed", nodes),
        _several("queue", nodes, st.integers(1, 3)),
        st.tuples(st.just("timeout"), milliseconds, nodes).map(list),
        st.tuples(st.just("wait_for"), milliseconds, nodes).map(list),
        st.tuples(st.just("race"), milliseconds, nodes).map(list),
    )


trees = st.recursive(_leaf, _compound, max_leaves=10)
threads = st.lists(st.integers(0, 3), min_size=1, max_size=5).map(lambda counts: ["threads", *counts])


@settings(max_examples=80 * SCALE, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.timeout(300 * SCALE)
@given(trees)
def test_resumed_programs_decide_as_before(program: list[Any]) -> None:
    programs.check(programs.record(program))


@settings(max_examples=40 * SCALE, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.timeout(300 * SCALE)
@given(trees)
def test_every_attempt_repeats_what_the_last_one_decided(program: list[Any]) -> None:
    programs.check_chain(program)


@settings(max_examples=20 * SCALE, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.timeout(300 * SCALE)
@given(threads)
def test_threads_repeat_what_was_decided(program: list[Any]) -> None:
    programs.check_chain(program, real=True)
