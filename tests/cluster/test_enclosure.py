"""An enclosure ends whole, whenever and however whoever holds it dies, and disturbs no other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from secrets import token_hex

import pytest

from tests.harness.eventually import eventually
from tests.harness.processes import alive

from .built import cgroups, enclosure
from .built.enclosure import PIDS, Enclosure, find, folder_of, open_enclosure, started, sweep
from .census import belongings, keepers, machine

pytestmark = pytest.mark.usefixtures("able")

TREE = Path(__file__).resolve().parents[2]

# Opens the enclosure of that name, says so, and waits to be killed.
HOLD = f"""
import sys, time
sys.path.insert(0, {str(TREE)!r})
from tests.cluster.built.enclosure import open_enclosure
with open_enclosure(sys.argv[1], ["node-1"]) as enclosure:
    enclosure.run("sh", "-c", "setsid sleep infinity </dev/null >/dev/null 2>&1 &")
    print("open", flush=True)
    time.sleep(100)
"""

# The same, and pauses a process inside.
PAUSE = HOLD.replace(
    "print(",
    """
    import os, signal, subprocess
    entered = subprocess.Popen(enclosure.inside(["sleep", "infinity"]))
    children = f"/proc/{entered.pid}/task/{entered.pid}/children"
    while not (pid := open(children).read().split()):
        time.sleep(0.01)
    os.kill(int(pid[0]), signal.SIGSTOP)
    os.waitpid(entered.pid, os.WUNTRACED)
    print(""",
)

# Opens a lasting one, lets it stay if told to, and ends.
LEAVE = f"""
import sys
sys.path.insert(0, {str(TREE)!r})
from tests.cluster.built.enclosure import open_lasting_enclosure
enclosure = open_lasting_enclosure(sys.argv[1], [])
if sys.argv[2:] == ["stay"]:
    enclosure.stay()
print("open", flush=True)
"""


@pytest.fixture
def name():
    """A name for an enclosure of which nothing is there after the test."""
    name = token_hex(3)
    yield name
    assert left(name) == []


def left(name):
    """What is left of an enclosure after a while."""

    def nothing():
        found = belongings(name)
        assert not found, found
        return True

    try:
        eventually(nothing, deadline=10)
    except AssertionError:
        return belongings(name)
    return []


def test_what_belongs_to_an_enclosure_is_counted_and_goes_with_it(name):
    before = machine()
    with open_enclosure(name, ["node-1"]) as open_one:
        open_one.run("ip", "link", "add", "one", "type", "veth", "peer", "name", "other")
        open_one.run("mount", "-t", "tmpfs", "tmpfs", str(open_one.folder))
        subprocess.run(f"ip link add {open_one.link} type veth peer name x netns {open_one.init}".split(), check=True)
        counted = "\n".join(belongings(name))
        for what in (f"process {open_one.keeper}:", f"process {open_one.init}:", open_one.link, str(open_one.folder)):
            assert what in counted
        assert f"{open_one.cgroup}/node-1" in counted
    assert belongings(name) == []
    eventually(lambda: not machine() - before)


@pytest.mark.parametrize("after", [0.03 * step for step in range(12)])
def test_its_starter_may_die_at_any_time(name, children, after):
    holder = children.code(HOLD, name)
    eventually(lambda: keepers(holder.pid), every=0.005)
    threading.Event().wait(after)
    holder.kill()
    assert left(name) == []


@pytest.mark.parametrize("after", [0.03 * step for step in range(12)])
def test_its_keeper_may_die_with_its_starter_at_any_time(name, children, after):
    holder = children.code(HOLD, name)
    keeper = eventually(lambda: keepers(holder.pid), every=0.005)[name]
    threading.Event().wait(after)
    os.kill(holder.pid, signal.SIGSTOP)  # or it would see its keeper die
    os.kill(keeper, signal.SIGKILL)
    holder.kill()
    # All that runs ends by itself, and the next start removes the rest.
    eventually(lambda: not any(found.startswith("process") for found in belongings(name)))
    with open_enclosure(token_hex(3), []):
        assert belongings(name) == []


def test_its_keeper_may_be_killed_while_it_removes_it(name):
    open_one = enclosure.open_lasting_enclosure(name, ["node-1"])
    for number in range(2000):
        (open_one.folder / str(number)).touch()
    os.kill(open_one.keeper, signal.SIGTERM)
    eventually(lambda: len(list(open_one.folder.glob("*"))) < 2000, every=0)
    os.kill(open_one.keeper, signal.SIGKILL)
    open_one.end()
    assert belongings(name) == []


def test_an_enclosure_whose_keeper_was_killed_is_removed_at_its_end(name):
    with open_enclosure(name, ["node-1"]) as open_one:
        os.kill(open_one.keeper, signal.SIGKILL)
        eventually(lambda: not alive(open_one.keeper))
        assert find(name) is None
    assert belongings(name) == []


def test_an_enclosure_whose_first_process_dies_is_removed(name):
    with open_enclosure(name, ["node-1"]) as open_one:
        os.kill(open_one.init, signal.SIGKILL)
        assert left(name) == []


def test_many_start_and_end_at_once(name):
    def one(number):
        with open_enclosure(f"{name}{number}", ["node-1"]) as open_one:
            return open_one.run("echo", "inside")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(one, range(24))) == ["inside\n"] * 24


def test_two_of_a_name_cannot_be(name):
    with open_enclosure(name, []) as first:
        with pytest.raises(RuntimeError, match="is there already"), open_enclosure(name, []):
            pass
        assert first.run("echo", "inside") == "inside\n"


def test_a_sweep_leaves_those_that_live(name):
    with open_enclosure(name, []) as open_one:
        sweep()
        assert find(name) == open_one
        assert open_one.run("echo", "inside") == "inside\n"


def test_a_sweep_leaves_what_is_not_ours(name):
    folder, link = folder_of(f"{name}-folder"), folder_of(f"{name}-link")
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    link.symlink_to("/")
    try:
        sweep()
        assert folder.exists()
        assert link.is_symlink()
    finally:
        folder.rmdir()
        link.unlink()


def test_a_sweep_that_finds_something_in_use_does_not_stand_in_the_way(name, monkeypatch):
    cgroups.create(folder_of(name).name, ["node-1"])
    folder_of(name).mkdir()
    with subprocess.Popen(["sleep", "60"]) as hanging:
        try:
            inside = next(path for path in cgroups.leftovers(folder_of(name).name) if path.name == "node-1")
            (inside / "cgroup.procs").write_text(str(hanging.pid))
            monkeypatch.setattr(enclosure, "_CLEARING", 0.1)
            sweep()
            assert str(inside) in belongings(name)
        finally:
            hanging.kill()
    sweep()
    assert belongings(name) == []


def test_a_frozen_container_ends(name):
    with open_enclosure(name, ["node-1"]) as open_one:
        frozen = [path for path in cgroups.leftovers(open_one.cgroup) if (path / "freezer.state").exists()]
        if not frozen:
            pytest.skip("version 2 of cgroups ends what is frozen")
        with subprocess.Popen(open_one.inside(["sleep", "infinity"])) as entered:
            children = Path(f"/proc/{entered.pid}/task/{entered.pid}/children")
            pid = int(eventually(lambda: children.read_text().split())[0])
            (frozen[0] / "cgroup.procs").write_text(str(pid))
            (frozen[0] / "freezer.state").write_text("FROZEN")
            eventually(lambda: (frozen[0] / "freezer.state").read_text() == "FROZEN\n")
            begun = time.monotonic()
            open_one.end()
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("keeper_dies", [False, True])
def test_a_paused_process_ends(name, children, keeper_dies):
    holder = children.code(PAUSE, name)
    holder.wait_for_output("open")
    if keeper_dies:
        os.kill(holder.pid, signal.SIGSTOP)
        keeper = keepers(holder.pid)[name]
        os.kill(keeper, signal.SIGKILL)
        eventually(lambda: not alive(keeper))
    holder.kill()
    if keeper_dies:
        sweep()
    assert left(name) == []


def test_it_outlives_its_starter_once_it_is_told_to_stay(name, children):
    holder = children.code(LEAVE, name, "stay")
    assert holder.wait() == 0
    open_one = find(name)
    assert open_one
    assert open_one.run("echo", "inside") == "inside\n"
    open_one.end()
    assert belongings(name) == []


def test_it_ends_with_its_starter_until_then(name, children):
    assert children.code(LEAVE, name).wait() == 0
    assert left(name) == []


def test_the_number_of_a_dead_keeper_may_be_anothers(name):
    folder_of(name).mkdir()
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            before = (started(other.pid) or 0) - 1
            stale = {"keeper": other.pid, "init": other.pid, "keeper_started": before}
            (folder_of(name) / PIDS).write_text(json.dumps(stale))
            assert find(name) is None
            Enclosure(name, folder_of(name), other.pid, other.pid, before).end()
            assert other.poll() is None
        finally:
            other.kill()


def test_the_kernel_keeps_its_settings(name):
    setting = Path("/proc/sys/kernel/panic")
    before = setting.read_text()
    with open_enclosure(name, []) as open_one:
        try:
            assert open_one.run("sh", "-c", f"echo 7654 >{setting} && cat {setting}") == "7654\n"
            assert setting.read_text() == before
        finally:
            setting.write_text(before)


def test_programs_below_var_lib_stay_in_sight(name, monkeypatch):
    home = Path("/var/lib", f"perdure-{name}")
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        home.mkdir()
        with open_enclosure(name, []) as open_one:
            (home / "perdure" / "tests" / "program").write_text("seen")
            assert open_one.run("cat", f"{home}/perdure/tests/program") == "seen"
            assert "dpkg" not in open_one.run("ls", "/var/lib")
    finally:
        shutil.rmtree(home)


def test_what_it_prints_holds_nobody_up(name):
    # Whoever reads what a command prints must see its end, though a keeper lives on.
    command = [sys.executable, "-c", LEAVE, name, "stay"]
    assert subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout == "open\n"
    found = find(name)
    assert found
    found.end()
