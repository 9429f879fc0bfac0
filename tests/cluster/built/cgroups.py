"""The cgroups under which the containers of a cluster run: one folder for the cluster in every hierarchy.

The machine's own cgroups and their mounts stay as they are.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["create", "leftovers", "remove", "thaw"]


def create(cluster: str, nodes: Iterable[str]) -> None:
    """Make `<hierarchy>/<cluster>/<node>` in every hierarchy of the machine."""
    for hierarchy in _hierarchies():
        _delegate(hierarchy)
        for path in (hierarchy / cluster, *(hierarchy / cluster / node for node in nodes)):
            path.mkdir()
            _inherit_cpuset(path)
            _delegate(path)


def thaw(cluster: str) -> None:
    """Let the cluster's frozen containers go on: under version 1 no signal ends what is frozen."""
    for path in leftovers(cluster):
        # Where it is missing, as in version 2, it must not be made.
        with contextlib.suppress(FileNotFoundError), (path / "freezer.state").open("r+") as state:
            state.write("THAWED")


def remove(cluster: str, until: float) -> None:
    """Remove the cluster's cgroups, once the last of its processes has gone.

    Raises:
        OSError: one is still in use at `until`, a time of the monotonic clock.
    """
    while left := leftovers(cluster):
        try:
            for path in left:
                path.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            # The kernel counts a killed task until it is reaped.
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def leftovers(cluster: str) -> list[Path]:
    """What there is of the cluster's cgroups, innermost first."""
    return [
        Path(folder) for hierarchy in _hierarchies() for folder, _, _ in os.walk(hierarchy / cluster, topdown=False)
    ]


def _hierarchies() -> Iterator[Path]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            yield Path(where)


def _inherit_cpuset(path: Path) -> None:
    # Version 1 makes a cpuset empty, and then no process may enter it.
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (path / name).exists() and not (path / "cgroup.controllers").exists():
            (path / name).write_text((path.parent / name).read_text())


def _delegate(path: Path) -> None:
    # Version 2 hands a controller down only where it is told to. The topmost folder is the machine's: systemd has told
    # it so already, and nothing is written then.
    if (path / "cgroup.subtree_control").exists():
        handed_down = (path / "cgroup.subtree_control").read_text().split()
        for controller in (path / "cgroup.controllers").read_text().split():
            if controller not in handed_down:
                (path / "cgroup.subtree_control").write_text(f"+{controller}")
