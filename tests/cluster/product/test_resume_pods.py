"""Whatever becomes of an attempt's processes, container or pod: the next attempt begins with the step in flight.

All stories are told at the same time, each by a thread of its own; a test waits for the end of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.cluster import pods
from tests.cluster.api import Json
from tests.cluster.cluster import Capability
from tests.cluster.faults import nodes
from tests.cluster.faults.pods import delete, evict, fill_memory

from . import pod_faults, workflows
from .held_runs import HELD, HeldRun, HeldRuns
from .installation import Installation
from .placement import free_node, only_on

pytestmark = [pytest.mark.timeout(240), pytest.mark.capability(Capability.NODE_COMMANDS)]

RERUN = {1: [0, 1, 2], 2: [2, 3]}
SHORT_GRACE = {"spec": {"terminationGracePeriodSeconds": 8}}  # of which 3 s are kept for the release


def goes_on(run: HeldRun, ending: str, since: float, attempt: int = 2) -> None:
    """The held step begins again, once, in the next attempt, and the run comes to its end from there."""
    took = run.until_step(HELD, attempt) - since
    print(f"{run.name}: {took:.2f} s from the fault to the next attempt's first step")
    run.release()
    run.until_succeeded(RERUN, [ending])


def a_killed_user_process(runs: HeldRuns) -> None:
    run = runs.start("user-process")
    run.until_step()
    died = pod_faults.kill_user_process(runs.cluster, run.running_pod())
    goes_on(run, "crashed", died)
    (attempt, _) = runs.installation.store.attempts(run.uid)
    assert attempt["signal"] == 9
    # The supervisor says so itself.
    assert (attempt["ended"].timestamp() - died) < 2


def a_killed_supervisor(runs: HeldRuns) -> None:
    run = runs.start("supervisor")
    run.until_step()
    died = time.time()
    pod_faults.kill_supervisor(runs.cluster, run.running_pod())
    goes_on(run, "crashed", died)


def a_killed_container(runs: HeldRuns) -> None:
    run = runs.start("container")
    run.until_step()
    died = time.time()
    pod_faults.kill_container(runs.cluster, run.running_pod())
    goes_on(run, "crashed", died)


def a_step_that_takes_too_much_memory(runs: HeldRuns) -> None:
    run = runs.start("greedy", greedy=True, podTemplate=limited("160Mi"))
    began = run.until_step()
    goes_on(run, "crashed", began)
    assert "memory" in runs.installation.store.attempts(run.uid)[0]["detail"]


def a_container_that_is_out_of_memory(runs: HeldRuns) -> None:
    run = runs.start("memory", podTemplate=limited("160Mi"))
    run.until_step()
    died = time.time()
    fill_memory(runs.cluster, runs.namespace, run.pod()["metadata"]["name"], "workflow")
    goes_on(run, "crashed", died)
    assert "OOMKilled" in runs.installation.store.attempts(run.uid)[0]["detail"]


def a_deleted_pod_whose_step_ends_in_time(runs: HeldRuns) -> None:
    run = runs.start("deleted")
    run.until_step()
    name = run.pod()["metadata"]["name"]
    delete(runs.cluster, runs.namespace, name)
    pods.until_told_to_end(runs.cluster, runs.namespace, name)
    run.release()
    # It has ended within its grace period, so it does not begin again.
    run.until_succeeded({1: [0, 1, 2], 2: [3]}, ["released"])


def a_deleted_pod_whose_step_does_not_end_in_time(runs: HeldRuns) -> None:
    run = runs.start("deleted-late", podTemplate=SHORT_GRACE)
    run.until_step()
    died = time.time()
    delete(runs.cluster, runs.namespace, run.pod()["metadata"]["name"])
    goes_on(run, "released", died)


def a_pod_that_is_deleted_without_grace(runs: HeldRuns) -> None:
    run = runs.start("deleted-at-once")
    run.until_step()
    died = time.time()
    delete(runs.cluster, runs.namespace, run.pod()["metadata"]["name"], grace=0)
    goes_on(run, "evicted", died)


def an_evicted_pod(runs: HeldRuns) -> None:
    run = runs.start("evicted", podTemplate=SHORT_GRACE)
    run.until_step()
    died = time.time()
    evict(runs.cluster, runs.namespace, run.pod()["metadata"]["name"])
    goes_on(run, "released", died)


def an_image_that_is_missing_at_first(runs: HeldRuns) -> None:
    image = "perdure.test/later:1"
    run = runs.start("image", image=image)
    stalled = run.until_reason("ImagePullFailed")
    assert workflows.condition(stalled, "Stalled")["status"] == "True"
    with tagged(runs, image):
        run.until_step(deadline=90)
    pod_faults.kill_user_process(runs.cluster, run.running_pod())
    run.until_reason("ImagePullFailed")
    with tagged(runs, image):
        run.until_step(attempt=2, deadline=90)
    run.release()
    run.until_succeeded(RERUN, ["crashed"])


STORIES: list[Callable[[HeldRuns], None]] = [
    an_image_that_is_missing_at_first,  # which takes longest
    a_killed_user_process,
    a_killed_supervisor,
    a_killed_container,
    a_step_that_takes_too_much_memory,
    a_container_that_is_out_of_memory,
    a_deleted_pod_whose_step_ends_in_time,
    a_deleted_pod_whose_step_does_not_end_in_time,
    a_pod_that_is_deleted_without_grace,
    an_evicted_pod,
]


Told = Mapping[Callable[..., None], Future[None]]


def a_deleted_node(run: HeldRun, node: str, since: float) -> None:
    # Its process runs on, until the API server forgets the node's pods, which takes most of a minute.
    took = run.until_step(HELD, 2, deadline=90) - since
    print(f"{run.name}: {took:.2f} s from the fault to the next attempt's first step")
    assert run.pod(2)["spec"]["nodeName"] != node
    run.release()
    # Whether the operator still sees the pod with what ends it, or only that it is gone, is a matter of moments.
    run.until_succeeded(RERUN, ["node lost" if run.endings[0] == "node lost" else "evicted"])


@pytest.fixture(scope="module")
def told(perdure: Installation) -> Iterator[Told]:
    """All stories, being told; one of the nodes is deleted for as long."""
    node = free_node(perdure)
    with HeldRuns.on(perdure) as runs, ThreadPoolExecutor(len(STORIES) + 1) as teller:
        with only_on(runs.cluster, node):
            run = runs.start("node-deleted")
            run.until_step()
        with nodes.deleted(runs.cluster, node):
            stories: dict[Callable[..., None], Future[None]]
            stories = {a_deleted_node: teller.submit(a_deleted_node, run, node, time.time())}
            yield {**stories, **{story: teller.submit(story, runs) for story in STORIES}}


@pytest.mark.parametrize("story", [*STORIES, a_deleted_node], ids=lambda story: story.__name__)
def test_resume_after(story: Callable[..., None], told: Told) -> None:
    told[story].result()


def limited(memory: str) -> Json:
    """A podTemplate with a limit of memory."""
    resources = {"requests": {"memory": "64Mi"}, "limits": {"memory": memory}}
    return {"spec": {"containers": [{"name": "workflow", "resources": resources}]}}


@contextmanager
def tagged(runs: HeldRuns, name: str) -> Iterator[None]:
    """The product's image under another name, too, on every node, for a block."""
    there = runs.cluster.nodes
    for node in there:
        runs.cluster.ctr(node, "images", "tag", runs.installation.image.name, name)
    try:
        yield
    finally:
        for node in there:
            runs.cluster.ctr(node, "images", "rm", name)
