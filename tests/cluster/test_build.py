"""`python -m tests.cluster build`: what it says on machines that lack something, and that what it builds works."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.built.binaries import KUBERNETES_VERSION, binaries
from tests.cluster.built.prerequisites import Lacking
from tests.cluster.commands import as_another_user
from tests.harness.unavailable import untested

TREE = Path(__file__).resolve().parents[2]
BUILD = [sys.executable, "-m", "tests.cluster", "build"]

CODES = pytest.mark.parametrize(("ci", "code"), [("", 0), ("true", 1)])


def run(tmp_path, *before, **env):
    """Run the command with an empty cache and no other cluster; what it prints to standard error must be one line."""
    merged = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), **env}
    merged.pop("PERDURE_TEST_KUBECONFIG", None)
    done = subprocess.run([*before, *BUILD], cwd=TREE, env=merged, capture_output=True, text=True, check=False)
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("No cluster here, so nothing that needs one is tested: missing is ")
    return done


def without(program, folder):
    """A PATH with all programs of the system but this one."""
    folder.mkdir()
    for source in (Path("/usr/sbin"), Path("/usr/bin"), Path("/bin"), Path("/sbin")):
        for path in source.iterdir():
            if path.name not in {program, "kind"} and not (folder / path.name).is_symlink():
                (folder / path.name).symlink_to(path)
    return str(folder)


@CODES
def test_without_go(able, tmp_path, ci, code):
    done = run(tmp_path, CI=ci, PATH=without("go", tmp_path / "bin"))
    assert "missing is Go 1." in done.stderr
    assert done.returncode == code


@CODES
def test_without_root(tmp_path, ci, code):
    done = run(tmp_path, *as_another_user(), CI=ci, PATH=without("kind", tmp_path / "bin"))
    assert "missing is root" in done.stderr
    assert done.returncode == code


@CODES
@pytest.mark.needs("go")
def test_without_network(able, tmp_path, ci, code):
    closed = {"GOPROXY": "http://127.0.0.1:1", "GOMODCACHE": str(tmp_path / "modules"), "GOFLAGS": "-modcacherw"}
    go = subprocess.check_output(["go", "env", "GOROOT"], text=True).strip() + "/bin"
    done = run(tmp_path, CI=ci, PATH=f"{go}:{without('kind', tmp_path / 'bin')}", **closed)
    assert f"the network, as Kubernetes {KUBERNETES_VERSION} must be built" in done.stderr
    assert "127.0.0.1:1: connect: connection refused" in done.stderr
    assert done.returncode == code


@pytest.fixture
def built(able):
    try:
        return binaries(print)
    except Lacking as lacking:
        untested(str(lacking))


@pytest.mark.timeout(1800)
def test_every_part_runs_and_is_of_the_pinned_version(built):
    for name in ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"):
        told = subprocess.check_output([built / name, "--version"], text=True)
        assert told == f"Kubernetes {KUBERNETES_VERSION}\n"
    client = subprocess.check_output([built / "kubectl", "version", "--client"], text=True)
    assert f"Client Version: {KUBERNETES_VERSION}\n" in client
    assert "etcd Version: 3." in subprocess.check_output([built / "etcd", "--version"], text=True)
    assert "CoreDNS-1." in subprocess.check_output([built / "coredns", "-version"], text=True)


@pytest.mark.timeout(1800)
def test_what_is_built_is_checked_in_no_time(built):
    begun = time.monotonic()
    assert binaries(print) == built
    assert time.monotonic() - begun < 5
