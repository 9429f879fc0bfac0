"""The supervisor as PID 1 of a PID namespace, as in a container."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.eventually import eventually

from .conftest import Supervise, Supervised

_UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@functools.cache
def _may_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*_UNSHARE, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(autouse=True)
def namespaces() -> None:
    if not _may_unshare():
        pytest.skip("needs the right to make PID namespaces (root, and unshare from util-linux)")


@pytest.fixture
def supervise_as_pid_1(supervise: Supervise) -> Supervise:
    return functools.partial(supervise, prefix=_UNSHARE)


def _supervisor(run: Supervised) -> int:
    """PID 1, as this process numbers it: the only child of `unshare`."""
    run.wait_for("begun")
    return next(pid for pid in run.process.descendants() if _parent(pid) == run.process.pid)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_it_is_pid_1(supervise_as_pid_1: Supervise):
    run = supervise_as_pid_1("0")
    assert run.code() == 0
    assert run.wait_for("supervisor")["pid"] == 1


@pytest.mark.parametrize(
    ("child", "exit_code", "number"),
    [("leaves_by_os_exit_0", 0, None), ("segfaults", None, signal.SIGSEGV), ("killed", None, signal.SIGKILL)],
)
def test_a_death_is_reported(supervise_as_pid_1: Supervise, child: str, exit_code: int | None, number: int | None):
    run = supervise_as_pid_1(child)
    assert run.code() == 79
    death = run.wait_for("death")
    assert (death["exit_code"], death["signal"]) == (exit_code, number)


def test_every_descendant_is_gone_before_a_death_is_reported(supervise_as_pid_1: Supervise):
    run = supervise_as_pid_1("has_family")
    run.wait_for("family")
    run.set("die")
    assert run.code() == 79
    assert run.wait_for("death")["left"] == []


def test_sigterm_drains(supervise_as_pid_1: Supervise):
    run = supervise_as_pid_1("engine")
    os.kill(_supervisor(run), signal.SIGTERM)
    assert run.code() == 75
    assert run.wait_for("asked")["requests"] == 4


def test_a_signal_that_comes_before_the_supervisor_is_ready_is_not_lost(supervise_as_pid_1: Supervise):
    run = supervise_as_pid_1("never_begins", files=["wait"])
    run.wait_for("held")
    [supervisor] = run.process.descendants()
    os.kill(supervisor, signal.SIGTERM)
    run.clear("wait")
    assert run.code(3) == 75


def test_a_killed_supervisor_takes_everything_along_also_daemons(supervise_as_pid_1: Supervise):
    run = supervise_as_pid_1("has_family")
    run.wait_for("family")
    assert len(run.left()) >= 50
    os.kill(_supervisor(run), signal.SIGKILL)
    eventually(lambda: not run.left(), 2.0)
