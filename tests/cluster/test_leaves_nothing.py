"""Whatever happens to a test run, it leaves nothing of its cluster behind, and the next run can start.

Each test runs pytest on a small test file of its own, with a cluster of its own.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex

import pytest

from tests.harness.eventually import eventually
from tests.harness.processes import alive

from .built.enclosure import folder_of, open_enclosure
from .census import belongings, keepers, machine
from .child_pytest import ChildPytest

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("able")]

# Pods that do not end when they are asked to, with volumes of every kind that tests use, one of them frozen.
TESTS = """
import os, threading
from tests.cluster import pods
from tests.cluster.cluster import Capability
from tests.harness.eventually import eventually

STAY = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(3600)"
VOLUMES = [
    {"name": "claimed", "persistentVolumeClaim": {"claimName": "claim"}},
    {"name": "empty", "emptyDir": {}},
    {"name": "memory", "emptyDir": {"medium": "Memory"}},
]

def test_pods(cluster, namespace):
    cluster.api.create(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", {
        "metadata": {"name": "claim"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    })
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in VOLUMES]
    for name, more in {"with-volumes": {"volumes": VOLUMES}, "without": {}}.items():
        container = {"volumeMounts": mounts if more else []}
        pod = pods.python(cluster, name, STAY, container=container, terminationGracePeriodSeconds=3600, **more)
        pods.create(cluster, namespace, pod)
    for name in ("with-volumes", "without"):
        status = pods.until_running(cluster, namespace, name)["status"]["containerStatuses"][0]
        eventually(lambda: pods.logs(cluster, namespace, name) == "up\\n")
    pod = pods.get(cluster, namespace, "without")
    cluster.ctr(pod["spec"]["nodeName"], "tasks", "pause", status["containerID"].removeprefix("containerd://"))
    with cluster.part("kubelet", "node-2").paused():
        print("PODS RUN", flush=True)
        if os.environ["THEN"] == "wait":
            threading.Event().wait(120)
    assert os.environ["THEN"] == "pass", "as it is told to"
"""


@pytest.fixture
def start(children, tmp_path):
    """Starts pytest on that file, with the built cluster whatever else there is on this machine."""
    child_pytest = ChildPytest(children, tmp_path, TESTS)
    return lambda then="wait": child_pytest.start("--capture=no", "--timeout=0", THEN=then)


@pytest.fixture
def before():
    """The machine before."""
    return machine()


def keeper_of(child):
    """The name of a child's enclosure, and its keeper."""

    def found():
        assert child.running(), str(child)
        return keepers(child.pid)

    # Whatever is not in the cache is built first, which other runs may be doing just now.
    ((name, keeper),) = eventually(found, deadline=120, every=0.005).items()
    return name, keeper


def until_pods_run(child):
    child.wait_for_output("PODS RUN", deadline=90)


def left_nothing(name, before):
    def nothing():
        found = belongings(name)
        assert not found, found
        more = machine() - before
        assert not more, more
        return True

    eventually(nothing, deadline=20, every=0.1)


def kill_both(child, name, keeper, before):
    """Kill it with its keeper: the next start removes what they leave."""
    child.signal(signal.SIGSTOP)  # or it would see its keeper die
    os.kill(keeper, signal.SIGKILL)
    child.kill()
    eventually(lambda: not alive(keeper))
    with open_enclosure(token_hex(3), []):
        left_nothing(name, before)


def test_two_at_once_that_end_one_with_a_failed_test(start, before):
    passing, failing = start("pass"), start("fail")
    names = [keeper_of(child)[0] for child in (passing, failing)]
    with ThreadPoolExecutor() as pool:
        codes = pool.map(lambda child: child.wait(200), (passing, failing))
    assert list(codes) == [0, 1], f"{passing}{failing}"
    for name in names:
        # They waited for it: nothing is left the moment they end.
        assert belongings(name) == []
        left_nothing(name, before)
    evidence = Path(failing.output.partition("tests that failed is in ")[2].split()[0])
    assert (evidence / "parts" / "kube-apiserver.log").stat().st_size > 0
    assert next(evidence.glob("test-*/with-volumes-main.log")).read_text() == "up\n"
    assert '"Scheduled"' in next(evidence.glob("test-*/events.json")).read_text()


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_pods_run(start, before, times):
    child = start()
    name, _ = keeper_of(child)
    until_pods_run(child)
    for _ in range(times):
        child.signal_group(signal.SIGINT)
        time.sleep(0.3)  # as a person would
    assert child.wait(60) != 0, str(child)
    left_nothing(name, before)


def test_sigkill_while_pods_run(start, before):
    child = start()
    name, _ = keeper_of(child)
    until_pods_run(child)
    child.kill()
    left_nothing(name, before)


def test_sigkill_of_the_keeper_too_while_pods_run(start, before):
    child = start()
    name, keeper = keeper_of(child)
    until_pods_run(child)
    kill_both(child, name, keeper, before)


# test_enclosure.py has the moments before the first of these files is there.
@pytest.mark.parametrize(
    ("by", "log"),
    [
        ("SIGINT", "etcd.log"),
        ("SIGINT", "node-2-kubelet.log"),
        ("SIGKILL", "node-1-containerd.log"),
        ("SIGKILL of both", "node-2-kubelet.log"),
    ],
)
def test_while_it_starts(start, before, by, log):
    child = start()
    name, keeper = keeper_of(child)
    eventually((folder_of(name) / "logs" / log).exists, deadline=60, every=0.005)
    match by:
        case "SIGINT":
            child.signal_group(signal.SIGINT)
            assert child.wait(60) != 0, str(child)
        case "SIGKILL":
            child.kill()
        case _:
            kill_both(child, name, keeper, before)
    left_nothing(name, before)
