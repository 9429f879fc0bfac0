"""SIGTERM: the step in flight may finish, the end of the grace period is kept to kill and to release."""

from __future__ import annotations

import os
import signal

import pytest

from .conftest import Supervise


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_engine_finishes_its_step_and_releases_by_itself(supervise: Supervise, number: signal.Signals):
    run = supervise("engine")
    run.wait_for("begun")
    run.process.signal(number)
    assert run.code() == 75
    assert run.wait_for("asked")["requests"] == 4
    assert not run.events("release_run")


def test_a_step_that_does_not_finish_is_killed_in_time_and_the_run_released(supervise: Supervise):
    run = supervise("is_deaf", "grace=2")
    child = run.child
    run.process.signal(signal.SIGTERM)
    released = run.wait_for("release_run")
    assert run.code(1) == 75
    assert released["reason"] == "terminated"
    assert released["left"] == []
    assert released["pid"] != child
    assert not run.events("death")


def test_it_goes_on_beating_while_the_step_finishes(supervise: Supervise):
    run = supervise("is_deaf", "lease=0.4", "grace=4")
    run.wait_for("heartbeat")
    run.process.signal(signal.SIGTERM)
    seen = len(run.events("heartbeat"))
    run.wait_for("heartbeat", seen + 4)
    assert not run.events("release_run")


def test_a_second_signal_shortens(supervise: Supervise):
    run = supervise("has_family")
    run.wait_for("family")
    # The child is stopped, or it would release by itself at the first one.
    os.kill(run.child, signal.SIGSTOP)
    run.process.signal(signal.SIGTERM)
    with pytest.raises(AssertionError, match="not within"):
        run.wait_for("release_run", deadline=0.5)
    run.process.signal(signal.SIGTERM)
    assert run.code(3) == 75
    assert run.wait_for("release_run")["left"] == []


def test_an_attempt_that_has_not_begun_is_not_waited_for(supervise: Supervise):
    run = supervise("never_begins")
    run.wait_for("started")
    run.process.signal(signal.SIGTERM)
    assert run.code(3) == 75
    assert not run.events("connected"), "it has no token: whoever claimed the run learns it from the exit code"


@pytest.mark.parametrize("store", ["away", "slow"])
def test_it_is_gone_by_the_end_of_the_grace_period_though_the_store_is_not_there(supervise: Supervise, store: str):
    run = supervise("is_deaf", "grace=2", files=[store])
    run.wait_for("begun")
    run.process.signal(signal.SIGTERM)
    assert run.code(4) == 75
    assert not run.events("release_run")
    assert "the release of the run was not reported to the store" in run.process.errors


def test_a_crash_while_it_drains_is_a_crash(supervise: Supervise):
    run = supervise("is_deaf")
    child = run.child
    run.process.signal(signal.SIGTERM)
    os.kill(child, signal.SIGSEGV)
    assert run.code() == 79
    assert run.wait_for("death")["signal"] == signal.SIGSEGV


def test_a_signal_that_comes_before_the_supervisor_is_ready_is_not_lost(supervise: Supervise):
    run = supervise("never_begins", files=["wait"])
    run.wait_for("held")
    run.process.signal(signal.SIGTERM)
    run.clear("wait")
    assert run.code(3) == 75
