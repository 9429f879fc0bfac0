"""The process tree below this process: adopting orphans, reaping, and killing every descendant.

As a subreaper (or as PID 1) this process becomes the parent of every orphan below it, in any session or process
group. So "no child is left" (ECHILD) means that no descendant is left, and a daemon that forked twice cannot hide.
Linux only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from perdure.errors import UsageError

__all__ = [
    "Process",
    "adopt_orphans",
    "below",
    "die_with_parent",
    "kill_descendants",
    "kill_group_on_exit",
    "processes",
    "reap",
]

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_PROC = Path("/proc")

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.004, 0.05
"""Seconds between two walks over the process table, doubling: a killed process takes a moment to die."""


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    group: int


def adopt_orphans() -> None:
    """Make this process the parent of every orphan below it (prctl(2), PR_SET_CHILD_SUBREAPER)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process as soon as `parent`, which forked it, dies (prctl(2), PR_SET_PDEATHSIG)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died before the line above, so its death sends no signal.
        os.kill(os.getpid(), signal.SIGKILL)


def kill_group_on_exit(group: int) -> None:
    """Have the kernel kill a process group as soon as this process dies, by a kill, too.

    `die_with_parent` reaches one process; where this one is not PID 1, the children of that one would stay behind. A
    pipe whose two ends only this process holds is set up to signal the group when its writing end goes first (fcntl(2),
    F_SETOWN and F_SETSIG). The kernel closes the descriptors of a dying process in an order that it does not promise,
    so there is one pipe for either order. The descriptors stay open on purpose.
    """
    reading, writing = os.pipe()
    _signal_when_hung_up(reading, group)
    low, high = os.pipe()
    moved = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, max(reading, writing, low, high) + 1)
    os.close(low)
    _signal_when_hung_up(moved, group)


def _signal_when_hung_up(reading: int, group: int) -> None:
    fcntl.fcntl(reading, fcntl.F_SETOWN, -group)
    fcntl.fcntl(reading, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_ASYNC)


def reap() -> list[os.waitid_result]:
    """Collect, without waiting, the changes of children: ends (which frees them), stops and continuations."""
    changes = []
    with suppress(ChildProcessError):
        while change := os.waitid(os.P_ALL, 0, os.WEXITED | os.WSTOPPED | os.WCONTINUED | os.WNOHANG):
            changes.append(change)
    return changes


def processes(besides: Collection[int] = ()) -> list[Process]:
    """The process table as /proc has it, but for the processes of these numbers."""
    names: list[str] = []
    with suppress(FileNotFoundError):
        names = os.listdir(_PROC)
    read = (_process(name) for name in names if name.isdecimal() and int(name) not in besides)
    return [process for process in read if process]


def below(root: int, table: Iterable[Process]) -> list[Process]:
    """Every process below `root`; one that was orphaned while the table was read may be missing."""
    children: dict[int, list[Process]] = {}
    for process in table:
        children.setdefault(process.parent, []).append(process)
    found, unvisited = [], [root]
    while unvisited:
        next_ones = children.pop(unvisited.pop(), [])
        found += next_ones
        unvisited += (process.pid for process in next_ones)
    return found


def kill_descendants(pause: Callable[[float], object], limit: float) -> list[Process]:
    """Kill (SIGKILL) and reap every descendant of this process, which has adopted orphans.

    Args:
        pause: waits for so many seconds, or until a child ends.
        limit: seconds after which it gives up: the kernel may hold a process in an uninterruptible wait.

    Returns:
        The processes that could not be killed.
    """
    end, seconds = time.monotonic() + limit, _SHORTEST_PAUSE
    while True:
        reap()
        if not _has_children():
            return []
        table = processes()
        left = below(os.getpid(), table)
        if time.monotonic() >= end:
            return left
        _kill(left)
        # Each of them that ends cuts a pause short; only the whole time without an end to it is worth another walk.
        # What forks and ends faster than one can walk is met by a look at the new processes alone, which is quick.
        seen = {process.pid for process in table}
        again = time.monotonic() + seconds
        while (remaining := again - time.monotonic()) > 0:
            reap()
            if not _has_children():
                return []
            new = below(os.getpid(), processes(besides=seen))
            _kill(new)
            seen |= {process.pid for process in new}
            pause(remaining)
        seconds = min(_LONGEST_PAUSE, seconds * 2)


def _kill(processes: list[Process]) -> None:
    # Groups first: that is atomic, so a group whose members fork faster than one can walk dies whole. Our own group is
    # never among them but by a process that is not under our control yet, between its fork and its setsid.
    for group in {process.group for process in processes} - {os.getpgrp(), 0}:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for process in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _process(pid: str) -> Process | None:
    # proc_pid_stat(5): pid (comm) state ppid pgrp ...; comm may hold anything, parentheses too.
    try:
        _state, parent, group, *_ = (_PROC / pid / "stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Process(int(pid), int(parent), int(group))


def _prctl(option: int, argument: int) -> None:
    if sys.platform != "linux":
        raise UsageError("perdure exec runs on Linux only: it needs prctl(2); use a Worker elsewhere")
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
