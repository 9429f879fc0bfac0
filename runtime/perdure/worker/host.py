"""Which machine a process runs on, and whether a process that a store names still lives there.

A host is one boot of one kernel, seen from one process namespace: only within it does a process id name a process.
"""

from __future__ import annotations

import os
import socket
from functools import cache

__all__ = ["host_identity", "is_gone", "process_started"]


@cache
def host_identity() -> str:
    """This host, as `name@boot.namespace`: equal for two processes exactly if each can see the other's id."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        namespace = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        boot, namespace = "unknown", os.getpid()  # nobody's equal: nothing is concluded from process ids
    return f"{socket.gethostname()}@{boot}.{namespace}"


def process_started(pid: int) -> int | None:
    """When a living process started, in clock ticks since boot; None if none has this id, or only a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name, in brackets, may contain anything.
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def is_gone(host: str, pid: int, started: int) -> bool:
    """Whether a process is known to be dead: it was one of this host, and no longer exists."""
    return host == host_identity() and process_started(pid) != started
