"""Signals of a supervisor wait until it handles them; then each stop is counted, and each child's end wakes it."""

from __future__ import annotations

import subprocess
import sys

import pytest

SETUP = """
import os, signal, subprocess, sys
from perdure.pod.channel import WakePipe
from perdure.pod.signals import StopSignals, hold_signals

def woken(wake):
    import select
    return bool(select.select([wake.fileno()], [], [], 10)[0])
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", SETUP + code], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_from_before_is_counted_once_it_is_handled(number: str) -> None:
    done = run(
        f"hold_signals(); os.kill(os.getpid(), signal.{number}); wake = WakePipe();"
        " print('alive'); stops = StopSignals(wake); print(stops.count, woken(wake))"
    )
    assert done.stdout == "alive\n1 True\n", done.stderr


def test_without_holding_it_would_have_ended_the_process() -> None:
    assert run("os.kill(os.getpid(), signal.SIGTERM); print('alive')").returncode == -15


def test_each_stop_counts_and_a_childs_end_only_wakes() -> None:
    done = run(
        "hold_signals(); wake = WakePipe(); stops = StopSignals(wake)\n"
        "subprocess.run(['true']); print(stops.count, woken(wake))\n"
        "for _ in range(3): os.kill(os.getpid(), signal.SIGTERM)\n"
        "print(stops.count)"
    )
    assert done.stdout == "0 True\n3\n", done.stderr
