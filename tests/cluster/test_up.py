"""make cluster-up, cluster-down and cluster-shell: a cluster for a person, which outlives the command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from secrets import token_hex

import pytest

from tests.harness.eventually import eventually
from tests.harness.processes import alive
from tests.harness.unavailable import untested

from .built.cluster import build
from .built.enclosure import find
from .built.prerequisites import Lacking
from .census import belongings, keepers, machine
from .commands import as_another_user

pytestmark = [pytest.mark.timeout(180), pytest.mark.needs("make")]

TREE = Path(__file__).resolve().parents[2]
READY_S = 15.0


@pytest.fixture(scope="module")
def name(able):
    """The name of a cluster for these tests, which must not touch the one that a person has up."""
    try:
        build(print)
    except Lacking as lacking:
        untested(str(lacking))
    name = token_hex(3)
    yield name
    if left := find(name):
        left.end()


def command(target):
    """Make the target with this Python, which has what it takes, whatever the environment of the tree has."""
    return ["make", "--silent", "--old-file=.venv/installed", f"BIN={Path(sys.executable).parent}", f"cluster-{target}"]


def make(target, name, **options):
    env = {**os.environ, "PERDURE_TEST_CLUSTER": name}
    # With pipes: whoever reads what it prints must not have to wait for the cluster's end.
    return subprocess.run(
        command(target), cwd=TREE, env=env, capture_output=True, text=True, check=False, timeout=90, **options
    )


def test_up_shell_and_down(name):
    before = machine()
    begun = time.monotonic()
    done = make("up", name)
    took = time.monotonic() - begun
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(" Ready ") == 2
    # A machine that others keep busy is slower than the promise, which is for one that is not.
    patience = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert took < READY_S * patience, f"{took:.1f} s"

    exported, _, kubeconfig = done.stdout.strip().partition("=")
    assert exported == "export KUBECONFIG"
    assert Path(kubeconfig).stat().st_mode & 0o077 == 0 or Path(kubeconfig).parents[1].stat().st_mode & 0o077 == 0

    again = make("up", name)
    assert "is up already" in again.stderr
    assert again.stdout == done.stdout

    shown = make("shell", name, input="kubectl get nodes; command -v kubectl")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count(" Ready ") == 2
    assert shown.stdout.splitlines()[-1] == str(build(print)[0] / "kubectl")

    assert make("down", name).returncode == 0
    assert belongings(name) == []
    eventually(lambda: not machine() - before)
    again = make("down", name)
    assert (again.returncode, again.stderr) == (0, "No cluster is up\n")


def test_a_shell_without_a_cluster(name):
    done = make("shell", f"{name}x", input="")
    assert done.stderr.splitlines()[0] == "No cluster is up: make cluster-up"
    assert done.returncode != 0


@pytest.mark.parametrize("target", ["up", "down", "shell"])
def test_without_root(target):
    run = [*as_another_user(), sys.executable, "-m", "tests.cluster", target]
    done = subprocess.run(run, cwd=TREE, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert done.stderr.endswith(" by root alone.\n")
    assert done.stderr.count("\n") == 1


def test_up_that_is_killed_leaves_nothing(name):
    env = {**os.environ, "PERDURE_TEST_CLUSTER": name}
    with subprocess.Popen([sys.executable, "-m", "tests.cluster", "up"], cwd=TREE, env=env) as up:
        eventually(lambda: name in keepers(up.pid), deadline=30)
        enclosure = eventually(lambda: find(name))
        assert enclosure
        eventually((enclosure.folder / "logs" / "etcd.log").exists, deadline=30)
        up.kill()
    eventually(lambda: not belongings(name), deadline=20)


def test_it_outlives_its_terminal(name):
    terminal, inside = os.openpty()
    env = {**os.environ, "PERDURE_TEST_CLUSTER": name}
    run = ["setsid", "--ctty", "--wait", *command("up")]
    with subprocess.Popen(run, cwd=TREE, env=env, stdin=inside, stdout=inside, stderr=inside) as up:
        os.close(inside)
        printed = b""
        while b"export KUBECONFIG=" not in printed:
            printed += os.read(terminal, 4096)
        os.close(terminal)  # its processes get SIGHUP
        up.wait()
    enclosure = find(name)
    assert enclosure
    shown = make("shell", name, input="kubectl get nodes")
    assert shown.stdout.count(" Ready ") == 2, printed
    enclosure.end()
    assert not alive(enclosure.keeper)
