"""Two operators: whatever becomes of the one that leads, the other goes on with its runs."""

from __future__ import annotations

import time

import pytest

from tests.cluster.cluster import Capability
from tests.harness.eventually import eventually

from . import operator, pod_faults
from .held_runs import HELD, HeldRuns
from .installation import Installation
from .leadership import holder, leader

pytestmark = [pytest.mark.timeout(240), pytest.mark.capability(Capability.NODE_COMMANDS)]

RERUN = {1: [0, 1, 2], 2: [2, 3]}
TAKEN_OVER = 20.0


@pytest.fixture(scope="module")
def two(perdure: Installation):
    """Two operators, and one again after the tests of this module."""
    operator.scale(perdure.cluster.api, perdure.namespace, 2)
    yield perdure
    operator.scale(perdure.cluster.api, perdure.namespace, 1)


@pytest.fixture(scope="module")
def runs(two: Installation):
    with HeldRuns.on(two) as runs:
        yield runs


def until_another_leads(installation: Installation, before: str, began: float) -> None:
    eventually(lambda: holder(installation) not in {before, ""}, 40, every=0.2)
    print(f"{time.time() - began:.1f} s until another leads")


def test_a_leader_that_is_paused_past_its_lease_and_goes_on(two: Installation, runs: HeldRuns):
    run, after = runs.start("paused"), runs.start("after-pause")
    run.until_step()
    after.until_step()
    before = holder(two)
    began = time.time()
    with pod_faults.paused(two.cluster, leader(two), "operator"):
        died = pod_faults.kill_user_process(two.cluster, run.running_pod())
        until_another_leads(two, before, began)
        took = run.until_step(HELD, 2) - died
        print(f"{run.name}: {took:.2f} s from the fault to the next attempt's first step")
        assert took < TAKEN_OVER + 10
    # The old leader still believes in its lease when it wakes; what it does then does no harm.
    pod_faults.kill_user_process(two.cluster, after.running_pod())
    after.until_step(HELD, 2)
    for one in (run, after):
        one.release()
        one.until_succeeded(RERUN, ["crashed"])
    assert holder(two) != before


def test_a_leader_that_is_killed(two: Installation, runs: HeldRuns):
    run = runs.start("killed")
    run.until_step()
    before = holder(two)
    pod = leader(two)
    began = time.time()
    pod_faults.kill_container(two.cluster, pod, "operator")
    died = pod_faults.kill_user_process(two.cluster, run.running_pod())
    until_another_leads(two, before, began)
    took = run.until_step(HELD, 2) - died
    print(f"{run.name}: {took:.2f} s from the fault to the next attempt's first step")
    assert took < TAKEN_OVER + 10
    run.release()
    run.until_succeeded(RERUN, ["crashed"])
