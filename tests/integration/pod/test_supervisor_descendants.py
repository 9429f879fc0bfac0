"""Nothing of an attempt outlives it, and no death is reported before that is so."""

from __future__ import annotations

import functools
import os
import select
import signal

import pytest

from tests.harness.eventually import eventually
from tests.harness.processes import alive

from .conftest import Supervise, Supervised


def _family(run: Supervised) -> None:
    run.wait_for("family")
    eventually(lambda: len(run.left()) >= 50)


def test_every_descendant_is_gone_before_a_death_is_reported(supervise: Supervise):
    run = supervise("has_family")
    _family(run)
    os.kill(run.child, signal.SIGKILL)
    assert run.code() == 79
    death = run.wait_for("death")
    assert death["signal"] == signal.SIGKILL
    assert death["left"] == []


def test_a_child_that_exits_by_itself_leaves_nobody_either(supervise: Supervise):
    run = supervise("has_family")
    _family(run)
    run.set("die")
    assert run.code() == 79
    assert run.wait_for("death")["left"] == []


def test_every_descendant_is_gone_after_an_end_in_order(supervise: Supervise):
    run = supervise("has_family_and_ends")
    assert run.code() == 0
    assert run.wait_for("left")["left"] == []
    assert not run.events("death")


def test_processes_that_fork_without_end_die(supervise: Supervise):
    run = supervise("forks_without_end", "lease=20")
    assert run.code(15) == 79
    assert run.wait_for("death")["left"] == []
    assert "could not kill" not in run.process.errors


def test_children_of_a_superseded_attempt_die_with_it(supervise: Supervise):
    run = supervise("has_family", "lease=0.4")
    _family(run)
    run.set("superseded")
    assert run.code() == 76
    assert not run.events("death")
    assert run.wait_for("left")["left"] == []


def test_a_killed_supervisor_takes_the_child_and_its_group_along(supervise: Supervise):
    run = supervise("has_children")
    run.wait_for("family")
    assert len(run.left()) == 5
    run.process.kill()
    eventually(lambda: not run.left(), 1.0)


def test_a_supervisor_that_is_killed_while_its_child_is_stopped_takes_it_along(supervise: Supervise):
    run = supervise("has_children")
    run.wait_for("family")
    os.kill(run.child, signal.SIGSTOP)
    run.process.kill()
    eventually(lambda: not run.left(), 1.0)


@pytest.mark.parametrize("first", ["supervisor", "child"])
def test_both_killed_at_once_leave_nothing_behind(supervise: Supervise, first: str):
    run = supervise("has_children")
    run.wait_for("family")
    pids = [run.process.pid, run.child]
    for pid in pids if first == "supervisor" else reversed(pids):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.left(), 1.0)


def test_a_supervisor_that_dies_while_it_forks_leaves_no_child(supervise: Supervise):
    """At whatever moment it dies: some of these meet the child before it has asked to die with its parent."""
    for moment in range(10):
        run = supervise("has_children", files=["wait"])
        run.wait_for("held")
        run.clear("wait")
        select.select([], [], [], 0.008 + moment * 0.001)
        run.process.kill()
        eventually(functools.partial(_gone, run), 1.0)


def _gone(run: Supervised) -> bool:
    return not run.left()


def test_the_death_of_one_supervisor_is_nothing_to_another(supervise: Supervise):
    one, other = supervise("is_deaf"), supervise("is_deaf")
    assert one.child != other.child
    one.process.kill()
    eventually(lambda: not one.left(), 1.0)
    assert alive(other.child)
    assert other.process.running()
