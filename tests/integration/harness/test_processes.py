"""Children: their output while they run, their signals, and that nothing of them stays behind."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.harness.eventually import eventually
from tests.harness.processes import Children, alive, descendants, stopped
from tests.harness.workspace import Workspace, processes_in

TREE = Path(__file__).parents[3]

SLEEPER = "import time; print('up'); time.sleep(100)"

# A child in the same session, and one that leaves session and parent behind as a daemon does.
FAMILY = """
    import os, subprocess, sys, time
    sleeper = [sys.executable, "-c", "import time; time.sleep(100)"]
    plain = subprocess.Popen(sleeper)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            print("daemon", os.getpid(), "plain", plain.pid)
            time.sleep(100)
        os._exit(0)
    os.wait()
    time.sleep(100)
"""


def family(children: Children):
    child = children.code(FAMILY)
    words = child.wait_for_output("plain").split()
    return child, int(words[1]), int(words[3])


def test_output_is_readable_while_the_child_runs(children):
    child = children.code("import sys, time; print('up'); print('odd', file=sys.stderr); time.sleep(100)")
    child.wait_for_output("up")
    eventually(lambda: "odd" in child.errors)
    assert child.running()


def test_a_child_that_ends_without_the_output_fails_at_once_and_shows_why(children):
    child = children.code("raise SystemExit('no such thing')")
    with pytest.raises(RuntimeError, match="no such thing"):
        child.wait_for_output("up", deadline=50)


def test_exit_codes_and_signals_are_told_apart(children):
    assert children.code("raise SystemExit(76)").wait() == 76
    child = children.code(SLEEPER)
    child.wait_for_output("up")
    child.kill()
    assert child.wait() == -signal.SIGKILL


def test_waiting_has_a_deadline(children):
    with pytest.raises(AssertionError, match="still runs"):
        children.code(SLEEPER).wait(deadline=0.1)


def test_a_paused_child_makes_no_progress_until_it_is_resumed(children):
    child = children.code("import itertools, time\nfor n in itertools.count(): print(n); time.sleep(0.001)")
    child.wait_for_output("5")
    child.pause()
    assert stopped(child.pid)
    held = child.output
    with pytest.raises(AssertionError):
        eventually(lambda: child.output != held, deadline=0.2)
    child.resume()
    eventually(lambda: child.output != held)


def test_descendants_are_children_of_children_too(children):
    nested = 'import subprocess, sys; print("up"); subprocess.run([sys.executable, "-c", "import time; time.sleep(9)"])'
    child = children.code("import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])", nested)
    eventually(lambda: len(child.descendants()) == 2)
    assert child.descendants()[0] in descendants(child.pid)


def test_killing_the_group_reaches_the_child_in_the_group_but_not_the_daemon(children):
    child, daemon, plain = family(children)
    child.kill_group()
    eventually(lambda: not alive(plain))
    assert alive(daemon)


def test_closing_ends_the_whole_session_though_the_child_is_dead(workspace):
    children = Children(workspace)
    child, _, plain = family(children)
    child.kill()
    assert alive(plain)
    children.close()
    assert not alive(plain)


def test_environment_variables_can_be_added_and_taken_away(children, monkeypatch):
    monkeypatch.setenv("TAKEN", "x")
    child = children.code(
        "import os; print(os.environ.get('TAKEN'), os.environ['ADDED'])", env={"TAKEN": None, "ADDED": "y"}
    )
    child.wait()
    assert child.output.split() == ["None", "y"]


def test_closing_a_workspace_ends_daemons_and_removes_the_folder():
    with Workspace() as workspace:
        child, daemon, _ = family(Children(workspace))
        assert daemon in processes_in(workspace.folder)
    child.wait()
    assert not alive(daemon)
    assert not workspace.folder.exists()


def test_the_next_workspace_removes_what_a_killed_test_run_left(children):
    owner = children.code(
        """
        import time
        from tests.harness.postgres import Servers
        from tests.harness.workspace import Workspace

        workspace = Workspace()
        server = Servers(workspace).embedded()
        print("at", workspace.folder, server.pid)
        time.sleep(100)
        """,
        env={"PYTHONPATH": str(TREE)},
    )
    _, folder, server = owner.wait_for_output("at ", 30).split()
    owner.kill()
    assert alive(int(server))
    with Workspace():
        assert not alive(int(server))
        assert subprocess.run(["test", "-e", folder], check=False).returncode == 1
