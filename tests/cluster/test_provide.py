"""Which cluster serves the tests, and what they say where none does.

Each test runs pytest on a small test file. The cluster that these tests share serves the children, as one that is given
by its kubeconfig, and behind programs that stand in for kind and docker and record how they were called. Real kind is
not seen here: the tests of this folder run on it where it is installed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .child_pytest import ChildPytest
from .commands import as_another_user

pytestmark = pytest.mark.timeout(120)

TESTS = """
import pytest
from tests.cluster import pods
from tests.cluster.cluster import Capability

def test_it_runs_pods(cluster, namespace):
    pods.create(cluster, namespace, pods.python(cluster, "one", "print('here')"))
    assert pods.until_ended(cluster, namespace, "one")["status"]["phase"] == "Succeeded"

@pytest.mark.capability(Capability.CONTROL_PLANE)
def test_that_asks_for_much(cluster):
    raise AssertionError("this must not run")

def test_that_fails(cluster, namespace):
    pods.create(cluster, namespace, pods.python(cluster, "one", "print('here')"))
    pods.until_ended(cluster, namespace, "one")
    raise AssertionError("as it is meant to")
"""

# Both write down how they were called; `kind create` writes the kubeconfig of the cluster that stands in.
KIND = """#!/bin/sh
echo "kind $*, in $KIND_EXPERIMENTAL_PROVIDER" >>"$CALLS"
case $1 in
    create) for option; do case $option in --kubeconfig=*) cp "$GIVEN" "${option#*=}" ;; esac; done ;;
    load) [ -z "$FAIL" ] || { echo "no space left"; exit 1; } ;;
esac
"""
DOCKER = """#!/bin/sh
echo "docker $*" >>"$CALLS"
"""


@pytest.fixture
def child_pytest(children, tmp_path):
    """Starts pytest on the tests above."""
    return ChildPytest(children, tmp_path, TESTS)


@pytest.fixture
def run(child_pytest):
    """Runs it and returns what it printed."""

    def run(code, *before, only="", **env):
        child = child_pytest.start("-k", only, before=before, **env)
        assert child.wait(100) == code, str(child)
        return child.output

    return run


@pytest.mark.parametrize("ci", [None, "true"])
def test_a_given_cluster(cluster, run, ci):
    given = {"PERDURE_TEST_KUBECONFIG": str(cluster.kubeconfig), "PERDURE_TEST_IMAGE": cluster.image}
    output = run(0, only="not fails", CI=ci, **given)
    title = f"the cluster of PERDURE_TEST_KUBECONFIG={cluster.kubeconfig}"
    assert f"Tests run on {title}\n" in output
    why = "killing and pausing API server, etcd, controller manager and scheduler"
    assert f"{title} does not offer {why}" in " ".join(output.split())
    assert "1 passed, 1 skipped, 1 deselected" in output


@pytest.mark.parametrize("ci", [None, "true"])
@pytest.mark.parametrize("named", ["/nowhere/kubeconfig", "closed"])
def test_a_given_cluster_that_does_not_answer(run, tmp_path, named, ci):
    if named == "closed":
        named = str(tmp_path / named)
        closed = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        parts = f"clusters: [{closed}]\ncontexts: [{context}]\nusers: [{ {'name': 'u', 'user': {}} }]"
        Path(named).write_text(f"{parts}\ncurrent-context: c\n")
    output = run(1, PERDURE_TEST_KUBECONFIG=named, CI=ci)
    assert f"No cluster: the cluster of PERDURE_TEST_KUBECONFIG={named} does not answer: " in output
    assert "Traceback" not in output
    assert "3 errors" in output


def test_kind(cluster, run, child_pytest, tmp_path):
    child_pytest.put(kind=KIND, docker=DOCKER)
    calls = tmp_path / "calls"
    output = run(0, only="asks", GIVEN=str(cluster.kubeconfig), CALLS=str(calls), XDG_CACHE_HOME=cached(tmp_path))
    assert "Tests run on a kind cluster in docker\n" in output
    assert "a kind cluster in docker does not offer killing and pausing API server" in " ".join(output.split())
    info, create, load, delete = calls.read_text().splitlines()
    assert info == "docker info"
    name = create.partition(" --name=")[2].split()[0]
    assert create.startswith(f"kind create cluster --name={name} --kubeconfig=/")
    assert create.endswith(" --wait=5m, in docker")
    assert load.startswith("kind load image-archive /")
    assert load.endswith(f"/python.tar --name={name}, in docker")
    assert delete.startswith(f"kind delete cluster --name={name} --kubeconfig=/")


def test_kind_that_fails(cluster, run, child_pytest, tmp_path):
    child_pytest.put(kind=KIND, docker=DOCKER)
    calls = tmp_path / "calls"
    output = run(1, GIVEN=str(cluster.kubeconfig), CALLS=str(calls), FAIL="yes", XDG_CACHE_HOME=cached(tmp_path))
    assert output.count("ended with 1: no space left") >= 1
    assert "Traceback" not in output
    # It is tried once, not for each test, and removed.
    assert [line.split()[1] for line in calls.read_text().splitlines()] == ["info", "create", "load", "delete"]


def test_a_kind_cluster_whose_run_was_killed_is_deleted_by_the_next(cluster, run, child_pytest, tmp_path):
    child_pytest.put(kind=KIND, docker=DOCKER)
    calls = tmp_path / "calls"
    home = cached(tmp_path)
    left = Path(home, "perdure", "tests", "kind-lock-perdure-123456")
    left.touch()
    run(0, only="asks", GIVEN=str(cluster.kubeconfig), CALLS=str(calls), XDG_CACHE_HOME=home)
    assert calls.read_text().splitlines()[1] == "kind delete cluster --name=perdure-123456, in docker"
    assert not list(left.parent.glob("kind-lock-*"))


def cached(folder):
    """A cache of a test's own, with all that is in the user's."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "perdure", "tests")
    mine = folder / "cache" / "perdure" / "tests"
    mine.mkdir(parents=True)
    for entry in home.iterdir():
        if entry.is_dir() and entry.name != "logs":
            (mine / entry.name).symlink_to(entry)
    return str(folder / "cache")


@pytest.mark.parametrize(("ci", "code", "count"), [(None, 0, "3 skipped"), ("true", 1, "3 errors")])
def test_without_root(run, ci, code, count):
    output = run(code, *as_another_user(), CI=ci)
    assert "No cluster here, so nothing that needs one is tested: missing is root." in " ".join(output.split())
    assert "Traceback" not in output
    assert count in output


@pytest.mark.needs("go")
def test_what_cannot_be_built_is_tried_once(cluster, run, child_pytest, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root builds a cluster")
    closed = {"GOPROXY": "http://127.0.0.1:1", "GOMODCACHE": str(tmp_path / "modules"), "GOFLAGS": "-modcacherw"}
    output = run(0, XDG_CACHE_HOME=str(tmp_path / "empty"), **closed)
    assert output.count("Building Kubernetes") == 1
    assert "missing is the network, as Kubernetes" in output
    assert "3 skipped" in output
