"""How a child ends decides what is told to the store, and the exit code."""

from __future__ import annotations

import signal

import pytest

from .conftest import Supervise

SIGKILL, SIGSEGV, SIGTERM = signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM


@pytest.mark.parametrize("code", [0, 1, 69, 75, 76, 77, 78])
def test_a_code_that_the_child_announces_passes_through(supervise: Supervise, code: int):
    run = supervise(str(code))
    assert run.code() == code
    assert not run.events("connected")


@pytest.mark.parametrize(
    ("child", "exit_code", "number"),
    [
        ("returns", 0, None),
        ("raises", 1, None),
        ("leaves_by_sys_exit", 0, None),
        ("leaves_by_sys_exit_5", 5, None),
        ("leaves_by_os_exit_0", 0, None),
        ("leaves_by_os_exit_3", 3, None),
        ("killed", None, SIGKILL),
        ("terminated", None, SIGTERM),
        ("segfaults", None, SIGSEGV),
        ("overflows_the_stack", None, SIGSEGV),
    ],
)
def test_without_an_announcement_it_is_a_crash(
    supervise: Supervise, child: str, exit_code: int | None, number: int | None
):
    run = supervise(child)
    assert run.code() == 79
    [death] = run.events("death")
    assert (death["exit_code"], death["signal"]) == (exit_code, number)
    assert run.events("closed")


def test_a_crash_before_the_begin_is_told_by_the_exit_code_alone(supervise: Supervise):
    run = supervise("segfaults_before_it_begins")
    assert run.code() == 79
    assert not run.events("connected")


def test_what_raised_is_on_standard_error(supervise: Supervise):
    run = supervise("raises")
    assert run.code() == 79
    assert "RuntimeError: a bug in the engine" in run.process.errors
    assert "perdure: the workflow's process exited with code 1 and left no outcome" in run.process.errors


def test_an_announced_end_counts_though_the_process_crashes_after_it(supervise: Supervise):
    run = supervise("segfaults_after_its_end")
    assert run.code() == 0
    assert not run.events("death")


def test_a_process_that_ended_but_does_not_leave_is_killed(supervise: Supervise):
    run = supervise("never_leaves", "linger=0.3")
    assert run.code() == 0
    assert not run.events("death")


def test_a_copy_of_the_engine_in_a_forked_process_cannot_announce_an_end(supervise: Supervise):
    run = supervise("copy_says_ended")
    assert run.code() == 79
    assert run.wait_for("death")["exit_code"] == 0


def test_a_child_that_tells_much_is_never_blocked_and_its_end_is_never_lost(supervise: Supervise):
    run = supervise("floods")
    run.wait_for("flooded", deadline=30)
    run.process.resume(group=False)
    assert run.code() == 1


def test_user_code_that_closes_all_descriptors_is_not_written_into(supervise: Supervise):
    run = supervise("closes_descriptors")
    assert run.code() == 0
    assert (run.folder / "precious").read_bytes() == b""


def test_the_child_starts_like_a_fresh_python_in_a_session_of_its_own(supervise: Supervise):
    run = supervise("shows_itself", prefix=("sh", "-c", 'echo typed | "$0" "$@"'))
    assert run.code() == 0
    shown = run.wait_for("shown")
    assert shown["session"] == shown["group"] == shown["pid"]
    assert shown["standard_input"] == ""
    assert shown["blocked"] == []
    assert (shown["sigterm"], shown["sigint"], shown["sigchld"]) == (True, True, True)
    assert shown["threads"] == 1
    assert shown["wakeup"] == -1
    assert run.process.output == "on standard output"
    assert run.process.errors == "on standard error"


def test_a_death_is_reported_until_the_store_is_back(supervise: Supervise):
    run = supervise("killed", files=["away"])
    run.wait_for("failed", 3)
    assert run.process.running()
    run.clear("away")
    assert run.code() == 79
    assert len(run.events("death")) == 1


@pytest.mark.parametrize("store", ["away", "slow"])
def test_a_death_that_cannot_be_reported_is_left_when_the_pod_is_told_to_stop(supervise: Supervise, store: str):
    run = supervise("killed", "grace=2", files=[store])
    run.wait_for("failed" if store == "away" else "slow")
    run.process.signal(signal.SIGTERM)
    assert run.code(3) == 79
    assert not run.events("death")
    assert "the death was not reported to the store" in run.process.errors
