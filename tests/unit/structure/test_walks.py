"""The walks that docs/architecture.md tells are those of the code, and a step call's is that of a real one."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from docs.structure.tree import arrows, modules
from docs.structure.walks import WALKS, Hop, Walk, flaws, trace
from perdure import step, workflow
from perdure.testing import DurableRun

TREE = modules()
IMPORTS = arrows(TREE)
STEP_CALL = WALKS[0]


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_a_walk_is_in_the_code(walk: Walk) -> None:
    assert list(flaws(walk, TREE, IMPORTS)) == []


@pytest.mark.parametrize(
    ("hop", "flaw"),
    [
        (Hop("perdure.engine.nowhere", "", ""), "there is no module perdure.engine.nowhere"),
        (
            Hop("perdure.engine.steps.step_call", "call call_twice", ""),
            "perdure.engine.steps.step_call has no call_twice",
        ),
        (
            Hop("store/schema/functions/nothing.sql", "", ""),
            "there is no runtime/perdure/store/schema/functions/nothing.sql",
        ),
        (Hop("perdure.pod.cgroup", "", ""), "perdure.pod.cgroup imports none of the modules before it"),
    ],
)
def test_a_walk_that_is_not_in_the_code_is_told_why(hop: Hop, flaw: str) -> None:
    (found,) = flaws(replace(STEP_CALL, hops=(*STEP_CALL.hops[:10], hop)), TREE, IMPORTS)
    assert flaw in found


@step
def add(one: int, other: int) -> int:
    return one + other


met: set[str] = set()


@workflow
def sums() -> int:
    add(1, 1)  # the first call of a step also makes its codec
    met.update(trace(lambda: add(1, 2)))
    return 0


def test_a_step_call_runs_through_the_modules_of_its_walk() -> None:
    met.clear()
    assert DurableRun(sums).attempt().state == "succeeded"
    assert "perdure.engine.steps.step_call" in met
    # In memory there is no store, and nobody who watches the process.
    assert met - {"perdure.testing"} <= set(STEP_CALL.modules)
    absent = {
        name for name in STEP_CALL.modules if name.startswith(("perdure.pod.", "perdure.process.", "perdure.store."))
    }
    assert set(STEP_CALL.modules) - met <= absent


def test_a_trace_looks_at_the_packages_that_it_is_given_and_leaves_no_profiler() -> None:
    assert trace(lambda: Hop("a.sql", "", "").is_sql) == set()
    assert trace(lambda: Hop("a.sql", "", "").is_sql, ("docs",)) == {"docs.structure.walks"}
    assert sys.getprofile() is None
