"""Whether a process of this host is gone: by its number and when it started, and only if that is certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from perdure.process.identity import host_identity, is_gone, is_stopped, process_started, this_process
from tests.harness.eventually import eventually


def test_living_process_is_not_gone() -> None:
    me = this_process()
    assert (me.pid, me.host) == (os.getpid(), host_identity())
    assert not is_gone(me.host, me.pid, me.pid_started)


def test_number_that_another_process_has_got() -> None:
    me = this_process()
    assert is_gone(me.host, me.pid, me.pid_started - 1)


def test_ended_process_is_gone_even_before_its_parent_looks() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = process_started(child.pid) or 0
        assert not is_gone(host_identity(), child.pid, started)
        child.kill()
        eventually(lambda: is_gone(host_identity(), child.pid, started))
    assert is_gone(host_identity(), child.pid, started)


def test_nothing_is_concluded_about_other_hosts_or_unknown_starts() -> None:
    assert not is_gone("elsewhere", 999_999_999, 1)
    assert not is_gone(host_identity(), 999_999_999, 0)


def test_stopped_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert not is_stopped(child.pid)
        child.send_signal(signal.SIGSTOP)
        eventually(lambda: is_stopped(child.pid))
        child.kill()
    assert not is_stopped(child.pid)
