"""A run of tests ends, and says what failed, whatever its tests do."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

TREE = Path(__file__).resolve().parents[3]

CONFTEST = """
from tests.harness.watchdog import Watchdog

def pytest_configure(config):
    config.pluginmanager.register(Watchdog(config, grace=1.0))
"""

HANGS = """
import ctypes, threading, time, pytest

@pytest.fixture
def never_ending():
    yield
    threading.Event().wait()

@pytest.mark.timeout(30)
def test_whose_fixture_hangs_once_it_failed(never_ending):
    assert False, "this is why"

@pytest.mark.timeout(1)
def test_in_which_no_python_runs_any_more():
    lock, mutex = ctypes.PyDLL(None).pthread_mutex_lock, ctypes.create_string_buffer(64)
    lock(mutex)
    lock(mutex)  # deadlock, under the interpreter's lock

def test_after_them():
    assert True

def test_that_fails():
    raise ValueError("of another kind")
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_hangs.py").write_text(HANGS)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\ntimeout = 5\npythonpath = {TREE}\n")

    def command(*arguments):
        run = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "test_hangs.py"]
        return subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)

    return command


def test_a_run_of_several_processes_goes_on_after_a_hang_and_sums_up(run):
    begun = time.monotonic()
    done = run("--numprocesses=1")
    assert time.monotonic() - begun < 40
    assert done.returncode == 1
    # The first one fails twice: in its call, and where its process ends.
    assert "4 failed, 1 passed" in done.stdout
    for name in ("test_whose_fixture_hangs_once_it_failed", "test_in_which_no_python_runs_any_more"):
        assert f"in {name}" in done.stderr or "in never_ending" in done.stderr, "the stack"
        assert f"FAILED test_hangs.py::{name}" in done.stdout


def test_a_failure_is_shown_when_it_happens(run):
    done = run("--numprocesses=1", "-k", "that_fails or after_them")
    before, _, _ = done.stdout.partition("= FAILURES =")
    assert "test_hangs.py::test_that_fails: call failed" in before
    assert "ValueError: of another kind" in before


def test_one_process_ends_with_the_stacks(run):
    done = run("-k", "whose_fixture")
    assert done.returncode == 1
    assert "Timeout (0:00:01)!" in done.stderr
    assert "in never_ending" in done.stderr
