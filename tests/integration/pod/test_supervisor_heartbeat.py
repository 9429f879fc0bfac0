"""An attempt is kept alive while its child lives, and learns from the answers what is asked of the run."""

from __future__ import annotations

import os
import signal

import pytest

from tests.harness.eventually import eventually
from tests.harness.processes import stopped

from .conftest import Supervise


def test_it_beats_four_times_a_lease_once_the_attempt_has_begun(supervise: Supervise):
    run = supervise("engine", "lease=0.8")
    begun = run.wait_for("begun")["at"]
    beats = [run.wait_for("heartbeat", count)["at"] - begun for count in range(1, 6)]
    # Not before its time, and on a schedule of its own: a late beat is not carried over to the next.
    for count, moment in enumerate(beats, 1):
        assert moment >= 0.2 * count - 0.01
    assert beats[-1] < 2.0


def test_it_carries_the_progress(supervise: Supervise):
    run = supervise("engine", "lease=0.4")
    first, later = run.wait_for("heartbeat"), run.wait_for("heartbeat", 4)
    assert first["current_step"] == f"step-{first['steps_done']}"
    assert later["current_step"] == f"step-{later['steps_done']}"
    assert later["steps_done"] > first["steps_done"]


def test_an_attempt_that_has_not_begun_has_no_heartbeat(supervise: Supervise):
    run = supervise("never_begins", "lease=0.08")
    run.wait_for("started")
    with pytest.raises(AssertionError, match="not within"):
        run.wait_for("heartbeat", deadline=0.5)


def test_a_stopped_child_is_not_alive_until_it_goes_on(supervise: Supervise):
    run = supervise("engine", "lease=0.4")
    run.wait_for("heartbeat")
    os.kill(run.child, signal.SIGSTOP)
    eventually(lambda: stopped(run.child))
    # One heartbeat's time it is given; then silence.
    with pytest.raises(AssertionError, match="not within"):
        run.wait_for("heartbeat", len(run.events("heartbeat")) + 3, deadline=1.0)
    seen = len(run.events("heartbeat"))
    os.kill(run.child, signal.SIGCONT)
    run.wait_for("heartbeat", seen + 2)


def test_a_child_that_is_killed_while_it_is_stopped_is_a_death(supervise: Supervise):
    run = supervise("engine", "lease=0.4")
    os.kill(run.child, signal.SIGSTOP)
    eventually(lambda: stopped(run.child))
    os.kill(run.child, signal.SIGKILL)
    assert run.code() == 79
    assert run.wait_for("death")["signal"] == signal.SIGKILL


def test_a_paused_attempt_that_was_superseded_ends_as_soon_as_it_goes_on(supervise: Supervise):
    run = supervise("engine", "lease=0.4")
    run.wait_for("heartbeat")
    child = run.child
    for pid in (run.process.pid, child):
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: stopped(run.process.pid) and stopped(child))
    run.set("superseded")
    for pid in (run.process.pid, child):
        os.kill(pid, signal.SIGCONT)
    assert run.code(2) == 76


def test_a_store_that_is_away_is_tried_again_and_the_child_goes_on(supervise: Supervise):
    run = supervise("engine", "lease=0.4", files=["away"])
    run.wait_for("failed", 4)
    assert not run.events("heartbeat")
    run.clear("away")
    run.wait_for("heartbeat", 2)
    assert run.process.errors.count("a heartbeat failed") == 1
    assert "the store answers again" in run.process.errors


def test_a_store_that_does_not_answer_delays_nothing_else(supervise: Supervise):
    run = supervise("engine", "lease=0.4", files=["slow"])
    run.wait_for("slow")
    run.process.signal(signal.SIGTERM)
    assert run.code(3) == 75
    assert run.events("asked")


def test_an_attempt_lives_on_when_the_thread_that_reports_dies(supervise: Supervise):
    run = supervise("engine", "lease=0.4", files=["dies"])
    run.wait_for("struck")
    seen = len(run.events("heartbeat"))
    run.wait_for("heartbeat", seen + 4)
    assert run.process.errors.count("the thread that reports died: Struck") == 1
    run.set("cancel")
    assert run.code() == 78


def test_superseded_ends_a_child_that_does_not_listen(supervise: Supervise):
    run = supervise("is_deaf", "lease=0.4", files=["superseded"])
    assert run.code() == 76
    assert not run.events("death")
    assert not run.events("release_run")


@pytest.mark.parametrize(("flag", "requests", "code"), [("cancel", 1, 78), ("suspend", 2, 75)])
def test_requests_are_passed_on_and_the_child_ends_itself(supervise: Supervise, flag: str, requests: int, code: int):
    run = supervise("engine", "lease=0.4")
    run.wait_for("heartbeat")
    run.set(flag)
    assert run.code() == code
    assert run.wait_for("asked")["requests"] == requests


def test_cancel_does_not_kill_a_step_in_flight(supervise: Supervise):
    run = supervise("is_deaf", "lease=0.4", files=["cancel"])
    run.wait_for("heartbeat", 5)
    assert run.process.running()


def test_an_attempt_whose_last_statement_has_voided_its_claim_may_say_so(supervise: Supervise):
    run = supervise("is_finishing", "lease=0.4", files=["superseded"])
    run.wait_for("heartbeat")
    with pytest.raises(AssertionError, match="not within"):
        eventually(lambda: not run.process.running(), 0.5)
    run.set("answered")
    assert run.code() == 0


def test_but_not_for_ever(supervise: Supervise):
    run = supervise("is_finishing", "lease=0.4", "linger=0.3", files=["superseded"])
    assert run.code() == 76
