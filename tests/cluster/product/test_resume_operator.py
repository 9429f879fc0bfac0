"""An operator that dies between any two things that it does, or is not there when an attempt dies, costs time alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.cluster.cluster import Capability
from tests.cluster.faults.api_proxy import Requests

from . import operator, pod_faults, workflows
from .held_runs import HELD, HeldRun, HeldRuns
from .installation import Installation
from .outer_operator import OuterOperator

pytestmark = [pytest.mark.timeout(240), pytest.mark.capability(Capability.NODE_COMMANDS)]

WENT = {1: [0, 1, 2, 3]}
RERUN = {1: [0, 1, 2], 2: [2, 3]}
POINTS = ["inserted", "bound", "claimed", "created", "claimed-anew", "created-anew"]


@pytest.fixture(scope="module")
def left_alone(perdure: Installation) -> Iterator[list[HeldRun]]:
    """Three runs whose operator has gone: two die, one ends, without it. It is back with the last test here."""
    with HeldRuns.on(perdure) as runs:
        made = [runs.start(name) for name in ("killed", "lost", "well")]
        for run in made:
            run.until_step()
        try:
            operator.scale(perdure.cluster.api, perdure.namespace, 0)
            killed, lost, well = made
            pod_faults.kill_user_process(runs.cluster, killed.running_pod())
            pod_faults.kill_container(runs.cluster, lost.running_pod())
            well.release()
            yield made
        finally:
            operator.scale(perdure.cluster.api, perdure.namespace, 1)


@pytest.fixture(scope="module")
def points(perdure: Installation, left_alone: list[HeldRun]) -> Iterator[dict[str, HeldRuns]]:
    """A namespace for each point at which an operator dies."""
    with ExitStack() as stack:
        yield {point: stack.enter_context(HeldRuns.on(perdure)) for point in POINTS}


def test_an_operator_that_is_killed_at_every_point(perdure: Installation, points: dict[str, HeldRuns]) -> None:
    namespaces = [runs.namespace for runs in points.values()]
    made: dict[str, HeldRun] = {}

    def status_of(point: str) -> Requests:
        return Requests(verb="patch", resource="workflows", subresource="status", namespace=points[point].namespace)

    def pod_of(point: str) -> Requests:
        return Requests(verb="create", resource="pods", namespace=points[point].namespace)

    with OuterOperator.of(perdure, namespaces) as outer:
        for point in ("claimed-anew", "created-anew"):
            made[point] = points[point].start(point)

        at = outer.to_die_at(status_of("inserted"), done=False)
        made["inserted"] = run = points["inserted"].start("inserted", held=[])
        outer.die(at)
        unseen = {"observedGeneration": -1}  # the schema's default
        assert (run.row["state"], run.row["attempt"], run.workflow()["status"]) == ("pending", 0, unseen)
        outer.start()

        at = outer.to_die_at(status_of("bound"), done=True)
        made["bound"] = run = points["bound"].start("bound", held=[])
        outer.die(at)
        assert (run.row["attempt"], run.row["claim"]) == (0, None)
        assert run.workflow()["status"]["storeId"]
        outer.start()

        at = outer.to_die_at(pod_of("claimed"), done=False)
        made["claimed"] = run = points["claimed"].start("claimed", held=[])
        outer.die(at)
        assert (run.row["attempt"], run.row["claim"] is None, pods_of(run)) == (1, False, 0)
        outer.start()

        at = outer.to_die_at(pod_of("created"), done=True)
        made["created"] = run = points["created"].start("created", held=[])
        outer.die(at)
        assert (run.row["attempt"], run.row["claim"] is None, pods_of(run)) == (1, False, 1)
        outer.start()

        for point, pods in (("claimed-anew", 1), ("created-anew", 2)):
            run = made[point]
            run.until_step()
            at = outer.to_die_at(pod_of(point), done=pods == 2)
            pod_faults.kill_user_process(perdure.cluster, run.running_pod())
            outer.die(at)
            assert (run.row["attempt"], run.row["claim"] is None, pods_of(run)) == (2, False, pods)
            outer.start()
            run.release()

        for point in ("inserted", "bound", "claimed", "created"):
            made[point].until_succeeded(WENT, [])
        for point in ("claimed-anew", "created-anew"):
            made[point].until_succeeded(RERUN, ["crashed"])


def test_an_operator_that_was_absent_for_the_whole_crash(perdure: Installation, left_alone: list[HeldRun]) -> None:
    killed, lost, well = left_alone
    # Nobody but an operator starts an attempt, and nobody at all those that have ended.
    assert killed.until_ending() == "crashed"
    assert [run.went for run in (killed, lost)] == [{1: [0, 1, 2]}] * 2
    assert (killed.row["state"], well.row["state"]) == ("pending", "succeeded")
    back = time.time()
    operator.scale(perdure.cluster.api, perdure.namespace, 1)
    for run in (killed, lost):
        print(f"{run.name}: {run.until_step(HELD, 2) - back:.2f} s from the operator's start to the next first step")
        run.release()
    well.until_succeeded(WENT, [])
    killed.until_succeeded(RERUN, ["crashed"])
    lost.until_succeeded(RERUN, ["crashed"])


def pods_of(run: HeldRun) -> int:
    return len(workflows.pods(run.runs.cluster, run.runs.namespace, run.name))
