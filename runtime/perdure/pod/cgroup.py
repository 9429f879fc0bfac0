"""The kernel's count of out-of-memory kills in this container."""

from __future__ import annotations

from pathlib import Path

__all__ = ["out_of_memory_kills"]

_MOUNT = Path("/sys/fs/cgroup")


def out_of_memory_kills(mount: Path = _MOUNT, membership: Path = Path("/proc/self/cgroup")) -> int | None:
    """How many processes of this process's control group the kernel has killed for want of memory.

    Counts kills for the group's own limit and for the node's memory (cgroup v2, `oom_kill` in `memory.events`). None
    where the kernel has no count: cgroup v1, or the root group.
    """
    try:
        # "0::/path", where a container that has its own view of the groups sees "/".
        lines = membership.read_text().splitlines()
        path = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
        events = (mount / path.strip("/") / "memory.events").read_text().split()
        return int(events[events.index("oom_kill") + 1])
    except (OSError, StopIteration, ValueError):
        return None
