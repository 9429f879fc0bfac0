"""Which machine a process runs on, and whether a process that a store names still lives there.

A host is one boot of one kernel, seen from one process namespace: only within it does a process id name a process.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from uuid import uuid4

from ..store.postgres.process_identity import ProcessIdentity

__all__ = ["host_identity", "is_gone", "is_stopped", "process_started", "this_process"]


@cache
def host_identity() -> str:
    """This host, as `name@boot.namespace`: equal for two processes exactly if each can see the other's id."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        boot, namespace = "unknown", os.getpid()  # unlike any other host: nothing is concluded from process ids
    return f"{socket.gethostname()}@{boot}.{namespace}"


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat (proc(5)) from the state on; None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name, in brackets, may contain anything.
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def process_started(pid: int) -> int | None:
    """When a living process started, in clock ticks since boot; None if none has this id, or only a zombie."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in "ZX" else int(stat[19])


def is_stopped(pid: int) -> bool:
    """Whether a process is held by SIGSTOP or by its terminal, so that none of its threads goes on."""
    stat = _stat(pid)
    return stat is not None and stat[0] == "T"


def is_gone(host: str, pid: int, started: int) -> bool:
    """Whether a process is known to be dead: it was one of this host, and no longer exists."""
    if host != host_identity() or not started or process_started(pid) == started:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # It is another user's, and /proc may hide those (hidepid): gone only if another process has the number now.
        return process_started(pid) is not None
    return True


def this_process() -> ProcessIdentity:
    """The identity of this process, under an id that is drawn anew at each call."""
    pid = os.getpid()
    return ProcessIdentity(uuid4(), host_identity(), pid, process_started(pid) or 0)
