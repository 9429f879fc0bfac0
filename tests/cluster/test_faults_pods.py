from __future__ import annotations

import pytest

from tests.harness.eventually import eventually

from . import pods
from .api import ApiException
from .cluster import Capability
from .faults.pods import delete, evict, fill_memory, kill_container, kill_process

pytestmark = pytest.mark.timeout(120)

# A first process that tells how its child ended.
PARENT = """
import subprocess
child = subprocess.Popen(["sleep", "1000"])
print("begun", flush=True)
print("ended", child.wait(), flush=True)
"""

# A first process that ends in order when it is asked to.
ORDERLY = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("asked", flush=True), sys.exit(3)))
print("begun", flush=True)
while True: time.sleep(0.1)
"""


def started(cluster, namespace, pod):
    name = pods.create(cluster, namespace, pod)
    pods.until_running(cluster, namespace, name)
    return name


def restarted(cluster, namespace, name):
    """The state in which the container ended that runs again by now."""

    def again():
        status = pods.status(pods.get(cluster, namespace, name))
        assert status["restartCount"] == 1, status
        assert "running" in status["state"], status
        return status["lastState"]["terminated"]

    return eventually(again, 30)


def test_one_process_is_killed_and_the_container_runs_on(cluster, namespace):
    name = started(cluster, namespace, pods.python(cluster, "parent", PARENT + "import time; time.sleep(1000)"))
    eventually(lambda: pods.logs(cluster, namespace, name) == "begun\n")
    kill_process(cluster, namespace, name, "sleep 1000")
    eventually(lambda: pods.logs(cluster, namespace, name) == "begun\nended -9\n")
    assert pods.status(pods.get(cluster, namespace, name))["state"].get("running")


def test_a_process_gets_the_signal_that_is_named(cluster, namespace):
    name = started(cluster, namespace, pods.python(cluster, "orderly", ORDERLY))
    eventually(lambda: pods.logs(cluster, namespace, name) == "begun\n")
    kill_process(cluster, namespace, name, "signal.signal", signal="SIGTERM")
    ended = pods.status(pods.until_ended(cluster, namespace, name))["state"]["terminated"]
    assert (ended["exitCode"], pods.logs(cluster, namespace, name)) == (3, "begun\nasked\n")


def test_where_no_process_matches_nothing_is_killed(cluster, namespace):
    name = started(cluster, namespace, pods.python(cluster, "sleeper"))
    with pytest.raises(RuntimeError, match=r"these match: \[\]"):
        kill_process(cluster, namespace, name, "no such process")


@pytest.mark.capability(Capability.NODE_COMMANDS)
def test_a_whole_container_is_killed_and_nobody_is_asked(cluster, namespace):
    name = started(cluster, namespace, pods.python(cluster, "orderly", ORDERLY, restartPolicy="Always"))
    before = pods.get(cluster, namespace, name)
    kill_container(cluster, namespace, name)
    ended = restarted(cluster, namespace, name)
    assert ended["exitCode"] == 137
    assert ended["containerID"] == pods.status(before)["containerID"]
    assert pods.logs(cluster, namespace, name, previous="true") == "begun\n"
    assert pods.get(cluster, namespace, name)["metadata"]["uid"] == before["metadata"]["uid"]


def test_a_deleted_pod_is_asked_first(cluster, namespace):
    name = started(cluster, namespace, pods.python(cluster, "orderly", ORDERLY, terminationGracePeriodSeconds=60))
    with cluster.api.opened(f"/api/v1/namespaces/{namespace}/pods/{name}/log", follow="true") as log:
        delete(cluster, namespace, name)
        assert log.read() == b"begun\nasked\n"
    pods.until_gone(cluster, namespace, name)


def test_a_pod_that_is_deleted_without_grace_is_gone_at_once(cluster, namespace):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
    pod = pods.python(cluster, "stubborn", stubborn, terminationGracePeriodSeconds=1000)
    name = started(cluster, namespace, pod)
    delete(cluster, namespace, name, grace=0)
    pods.until_gone(cluster, namespace, name, 1)


def test_an_evicted_pod_goes_unless_a_budget_forbids_it(cluster, namespace):
    name = started(cluster, namespace, pods.python(cluster, "kept"))
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}}
    cluster.api.create(budgets, {"metadata": {"name": "all"}, "spec": budget})
    with pytest.raises(ApiException, match="disruption budget") as refused:
        evict(cluster, namespace, name)
    assert refused.value.status == 429
    assert not pods.gone(cluster, namespace, name)
    cluster.api.delete(f"{budgets}/all")
    evict(cluster, namespace, name)
    pods.until_gone(cluster, namespace, name)


def test_of_a_full_memory_the_first_process_dies(cluster, namespace):
    limited = {"resources": {"limits": {"memory": "64Mi"}}}
    pod = pods.python(cluster, "limited", PARENT, restartPolicy="Always", container=limited)
    name = started(cluster, namespace, pod)
    fill_memory(cluster, namespace, name)
    ended = restarted(cluster, namespace, name)
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_the_memory_of_a_node_is_not_filled(cluster, namespace):
    name = started(cluster, namespace, pods.python(cluster, "unlimited"))
    with pytest.raises(AssertionError, match="without a limit"):
        fill_memory(cluster, namespace, name)
