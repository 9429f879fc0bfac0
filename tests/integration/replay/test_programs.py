"""Concurrent replay is deterministic: random programs, killed after each checkpoint in turn, decide as they decided."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.engine.branches.attempt import Attempt
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


deaths = st.lists(st.tuples(st.integers(-200, 400), st.integers(0, 2)), max_size=6).map(lambda ones: [*ones, (20, 1)])
"""How far the store's clock goes before an attempt, in milliseconds, or back; how many checkpoints it then stores."""


@settings(max_examples=200 * SCALE, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.timeout(300 * SCALE)
@given(trees, deaths)
def test_they_do_so_whatever_time_passes_while_nobody_runs(program: list[Any], deaths: list[tuple[int, int]]) -> None:
    programs.check_chain_over_time(program, deaths)


@settings(max_examples=20 * SCALE, suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.timeout(300 * SCALE)
@given(threads)
def test_threads_repeat_what_was_decided(program: list[Any]) -> None:
    programs.check_chain(program, real=True)


def test_what_a_thread_does_that_outlives_its_attempt_counts_for_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt has begun a step when it dies. The thread gets to the body while the third one runs."""
    attempts: list[Attempt] = []
    late: list[threading.Thread] = []
    stands, third_began = threading.Event(), threading.Event()
    begin, started = Attempt.__init__, Attempt.started

    def beginning(attempt: Attempt, *args: Any, **options: Any) -> None:
        begin(attempt, *args, **options)
        attempts.append(attempt)
        if len(attempts) == 3:
            third_began.set()
            late[0].join(10)

    def starting(attempt: Attempt, key: str) -> None:
        if attempt is attempts[0]:
            if key.startswith("2"):
                late.append(threading.current_thread())
                stands.set()
                third_began.wait(10)
            stands.wait(10)
        started(attempt, key)

    monkeypatch.setattr(Attempt, "__init__", beginning)
    monkeypatch.setattr(Attempt, "started", starting)
    programs.check_chain(["threads", 1, 1], real=True)
    assert len(attempts) >= 3
    assert not late[0].is_alive()
