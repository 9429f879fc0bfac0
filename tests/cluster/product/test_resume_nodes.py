"""Whatever becomes of a node, its runs go on on another one, and what still runs there has no say any more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import pytest
from psycopg.rows import DictRow

from tests.cluster import pods
from tests.cluster.api import Json
from tests.cluster.cluster import Capability
from tests.cluster.faults import nodes
from tests.harness.eventually import eventually

from . import pod_faults
from .held_runs import HELD, HeldRun, HeldRuns
from .installation import Installation
from .placement import free_node, only_on

pytestmark = [pytest.mark.timeout(240), pytest.mark.capability(Capability.NODE_COMMANDS)]

RERUN = {1: [0, 1, 2], 2: [2, 3]}
SUPERSEDED = 76  # as an exit code
REFUSED = 3  # as an answer of the store's functions


@pytest.fixture(scope="module")
def runs(perdure: Installation):
    with HeldRuns.on(perdure) as runs:
        yield runs


@pytest.fixture(scope="module")
def node(perdure: Installation):
    """The node that suffers; operator and Postgres are on the other."""
    return free_node(perdure)


@pytest.fixture
def held(runs: HeldRuns, node: str):
    """Makes runs that are held on that node."""

    def make(*names: str, **spec) -> list[HeldRun]:
        with only_on(runs.cluster, node):
            made = [runs.start(name, **spec) for name in names]
            for run in made:
                run.until_step()
                assert run.pod()["spec"]["nodeName"] == node
        return made

    return make


def goes_on_elsewhere(run: HeldRun, since: float, node: str, within: float) -> None:
    took = run.until_step(HELD, 2, deadline=within + 20) - since
    print(f"{run.name}: {took:.2f} s from the fault to the next attempt's first step")
    assert took < within
    assert run.pod(2)["spec"]["nodeName"] != node


def test_a_drained_node(runs, node, held):
    (run,) = held("drained", podTemplate={"spec": {"terminationGracePeriodSeconds": 4}})
    began = time.time()
    with nodes.drained(runs.cluster, node):
        goes_on_elsewhere(run, began, node, 20)
        run.release()
        run.until_succeeded(RERUN, ["released"])


@pytest.mark.capability(Capability.PARTITION)
def test_a_node_that_is_cut_off(runs, node, held):
    (run,) = held("cut-off")
    old = run.running_pod()
    with kept(runs, old):
        began = time.time()
        with nodes.cut_off(runs.cluster, node):
            goes_on_elsewhere(run, began, node, 15)
            # The old process finishes its step, and has only its checkpoint still to write.
            pod_faults.touch(runs.cluster, old, "/tmp/go")
        assert eventually(lambda: exit_code(runs, old), 60, every=0.5) == SUPERSEDED
    # Its successor is still held in that step, so nothing but the fence can have kept it out.
    assert run.kept == [1, 1]
    everything_is_refused(run)
    run.release()
    run.until_succeeded(RERUN, ["node lost"])


@pytest.mark.capability(Capability.PARTITION)
def test_a_node_that_is_cut_off_before_the_attempt_begins(runs, node):
    with nodes.cut_off(runs.cluster, node):
        began = time.time()
        with only_on(runs.cluster, node):  # the scheduler takes it for well for most of a minute
            run = runs.start("cut-off-early")
            eventually(lambda: run.pod()["spec"].get("nodeName") == node, 30, every=0.2)
        took = run.until_step(0, 2, deadline=100) - began
        print(f"{run.name}: {took:.2f} s from the cut to the next attempt's first step")
        assert took < 80, "the node controller takes more than five minutes"
        assert run.pod(2)["spec"]["nodeName"] != node
        run.release()
        run.until_succeeded({2: [0, 1, 2, 3]}, ["node lost"])


@pytest.mark.capability(Capability.PARTITION)
def test_a_node_that_is_cut_off_as_soon_as_the_attempt_has_begun(runs, node):
    # The operator has heard of nothing but the claim: neither that a step began nor that the pod runs.
    with only_on(runs.cluster, node):
        run = runs.start("cut-off-at-begin", held=(0,))
        eventually(lambda: [attempt for attempt in attempts(run) if attempt["begun"]], 30)
    old = run.pod()
    began = time.time()
    with kept(runs, old):
        with nodes.cut_off(runs.cluster, node):
            took = run.until_step(0, 2, deadline=60) - began
            print(f"{run.name}: {took:.2f} s from the cut to the next attempt's first step")
            assert took < 20
            assert run.pod(2)["spec"]["nodeName"] != node
        eventually(lambda: exit_code(runs, old), 60, every=0.5)
    first = {1: [0]} if 1 in run.went else {}  # whether it had come so far
    run.release(0)
    run.until_succeeded({**first, 2: [0, 1, 2, 3]}, ["node lost"])


@pytest.mark.capability(Capability.NODE_POWER)
def test_a_node_that_loses_its_power(runs, node, held):
    (run,) = held("power")
    with nodes.off(runs.cluster, node):
        goes_on_elsewhere(run, time.time(), node, 15)
    run.release()
    run.until_succeeded(RERUN, ["node lost"])


@pytest.mark.capability(Capability.NODE_POWER)
def test_a_node_that_stands_still_for_a_while(runs, node, held):
    (run,) = held("frozen")
    old = run.running_pod()
    with kept(runs, old):
        with nodes.frozen(runs.cluster, node):
            goes_on_elsewhere(run, time.time(), node, 15)
        # On waking its process sees what time it is, and gives up.
        assert eventually(lambda: exit_code(runs, old), 60, every=0.5) == SUPERSEDED
    everything_is_refused(run)
    run.release()
    run.until_succeeded(RERUN, ["node lost"])


@pytest.mark.capability(Capability.NODE_PARTS)
def test_a_node_whose_kubelet_has_stopped(runs, node, held):
    well, struck = held("kubelet-well", "kubelet-struck")
    pod = struck.running_pod()
    with nodes.gone(runs.cluster, node, "kubelet"):
        began = time.time()
        pod_faults.kill_container(runs.cluster, pod)
        well.release()
        well.until_succeeded({1: [0, 1, 2, 3]}, [])  # it needs no kubelet
        goes_on_elsewhere(struck, began, node, 20)
        struck.release()
        struck.until_succeeded(RERUN, ["node lost"])


def everything_is_refused(run: HeldRun) -> None:
    """Whatever else somebody writes who has the claim and the token of the first attempt."""
    store = run.runs.installation.store
    before = (run.row, run.kept, run.endings)
    claim, token = attempts(run)[0]["claim"], attempts(run)[0]["token"]
    assert token is not None
    calls: list[LiteralString] = [
        "perdure.checkpoint(%s, %s, 'work#3', 3, 'work', 1, 1, 1, '4', NULL)",
        "perdure.finish(%s, %s, 'succeeded', '5', NULL)",
        "perdure.release_run(%s, %s, 'crashed', NULL, NULL, NULL)",
        "(perdure.heartbeat(%s, %s, 3, 'work#4')).answer",
        "(perdure.begin(%s, %s, gen_random_uuid(), 1000, 'host', 1, 1, NULL)).answer",
    ]
    for call in calls:
        shown = claim if "begin" in call else token
        (answer,) = store.rows("SELECT " + call + " AS code", run.uid, shown)
        assert answer["code"] == REFUSED, call
    assert (run.row, run.kept, run.endings) == before


def attempts(run: HeldRun) -> list[DictRow]:
    """The rows of its attempts, in order."""
    return run.runs.installation.store.attempts(run.uid)


@contextmanager
def kept(runs: HeldRuns, pod: Json) -> Iterator[None]:
    """Have a pod be there until the block ends, also once it has been deleted: how it ended can be read."""
    path = f"/api/v1/namespaces/{runs.namespace}/pods/{pod['metadata']['name']}"
    runs.cluster.api.patch(path, {"metadata": {"finalizers": ["perdure.test/kept"]}})
    try:
        yield
    finally:
        runs.cluster.api.patch(path, {"metadata": {"finalizers": None}})


def exit_code(runs: HeldRuns, pod: Json) -> int:
    """With what its container ended, once it has."""
    shown = pods.get(runs.cluster, runs.namespace, pod["metadata"]["name"])
    ended = pods.status(shown, "workflow")["state"].get("terminated")
    assert ended, shown["status"]
    return int(ended["exitCode"])
