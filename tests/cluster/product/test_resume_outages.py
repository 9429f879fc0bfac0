"""API server, etcd or Postgres away: nothing is lost, nothing is started because of it, and work goes on after."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cluster.api import ApiException
from tests.cluster.cluster import Capability
from tests.cluster.faults import control_plane
from tests.harness.eventually import eventually

from . import operator, pod_faults, postgres
from .held_runs import HELD, HeldRun, HeldRuns
from .installation import Installation

pytestmark = [pytest.mark.timeout(300), pytest.mark.capability(Capability.NODE_COMMANDS)]

WENT = {1: [0, 1, 2, 3]}
RERUN = {1: [0, 1, 2], 2: [2, 3]}
A_MINUTE = 60.0


@pytest.fixture(scope="module")
def runs(perdure: Installation):
    with HeldRuns.on(perdure) as runs:
        yield runs


@pytest.fixture(autouse=True)
def the_operator_is_the_same(runs: HeldRuns) -> Iterator[None]:
    """An outage is waited out: nobody restarts the operator, nor does it end itself."""
    api, namespace = runs.cluster.api, runs.installation.namespace
    before = operator.containers(api, namespace)
    yield
    assert operator.containers(api, namespace) == before


def started(runs: HeldRuns, *names: str) -> list[HeldRun]:
    made = [runs.start(name) for name in names]
    for run in made:
        run.until_step()
    return made


@pytest.mark.capability(Capability.CONTROL_PLANE)
def test_api_server_and_etcd_that_restart(runs: HeldRuns):
    well, killed, lost = started(runs, "api-well", "api-killed", "api-lost")
    pod = lost.running_pod()
    died = pod_faults.kill_user_process(runs.cluster, killed.running_pod())
    with control_plane.gone(runs.cluster, "kube-apiserver"):
        runs.cluster.part("etcd").restart()
        pod_faults.kill_container(runs.cluster, pod)
    for run in (killed, lost):
        took = run.until_step(HELD, 2) - died
        print(f"{run.name}: {took:.2f} s from the fault to the next attempt's first step")
    for run in (well, killed, lost):
        run.release()
    well.until_succeeded(WENT, [])
    killed.until_succeeded(RERUN, ["crashed"])
    lost.until_succeeded(RERUN, [lost.endings[0]])
    assert lost.endings[0] in {"crashed", "node lost"}  # whichever the operator heard of first


@pytest.mark.capability(Capability.NODE_POWER)
def test_a_control_plane_that_loses_its_power(runs: HeldRuns):
    well, lost = started(runs, "power-well", "power-lost")
    pod = lost.running_pod()
    with control_plane.off(runs.cluster):
        pod_faults.kill_container(runs.cluster, pod)
    back = time.time()
    took = lost.until_step(HELD, 2, deadline=60) - back
    print(f"{lost.name}: {took:.2f} s from the API server's return to the next attempt's first step")
    for run in (well, lost):
        run.release()
    well.until_succeeded(WENT, [])
    lost.until_succeeded(RERUN, [lost.endings[0]])
    assert lost.endings[0] in {"crashed", "node lost"}


def test_a_postgres_that_restarts_in_mid_run_and_one_that_is_gone_for_a_minute(runs: HeldRuns):
    well, ends, killed, lost = started(runs, "store-well", "store-ends", "store-killed", "store-lost")
    pods = {run: run.running_pod() for run in (ends, killed, lost)}
    restart(runs.installation)
    # All are where they were.
    assert [run.went for run in (well, ends, killed, lost)] == [{1: [0, 1, 2]}] * 4
    with gone(runs.installation):
        began = time.monotonic()
        pod_faults.touch(runs.cluster, pods[ends], "/tmp/go")
        died = pod_faults.kill_user_process(runs.cluster, pods[killed])
        pod_faults.kill_container(runs.cluster, pods[lost])
        eventually(lambda: time.monotonic() - began > A_MINUTE, A_MINUTE + 1, every=1)
    back = time.time()
    for run in (killed, lost):
        took = run.until_step(HELD, 2, deadline=90)
        print(f"{run.name}: {took - back:.2f} s from the database's return to the next attempt's first step")
    for run in (well, killed, lost):
        run.release()
    well.until_succeeded(WENT, [])
    ends.until_succeeded(WENT, [])
    killed.until_succeeded(RERUN, ["crashed"])
    lost.until_succeeded(RERUN, ["crashed"])
    assert died < back


def restart(installation: Installation) -> None:
    """Kill Postgres, and wait until its pod has it running again."""
    api, path = installation.cluster.api, f"/api/v1/namespaces/{installation.namespace}/pods/{postgres.NAME}-0"
    pod_faults.kill_container(installation.cluster, api.get(path), "postgres")

    def again() -> bool:
        (status,) = api.get(path)["status"]["containerStatuses"]
        assert status["restartCount"] == 1, status
        return bool(status["ready"])

    eventually(again, 60, every=0.2)


@contextmanager
def gone(installation: Installation) -> Iterator[None]:
    """Have no Postgres until the block ends."""
    api, namespace = installation.cluster.api, installation.namespace
    stateful_set = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{postgres.NAME}"
    api.patch(stateful_set, {"spec": {"replicas": 0}})

    def away() -> bool:
        try:
            api.get(f"/api/v1/namespaces/{namespace}/pods/{postgres.NAME}-0")
        except ApiException as error:
            if error.status != 404:
                raise
            return True
        return False

    try:
        eventually(away, 40, every=0.2)
        yield
    finally:
        api.patch(stateful_set, {"spec": {"replicas": 1}})
        postgres.until_ready(api, namespace)
