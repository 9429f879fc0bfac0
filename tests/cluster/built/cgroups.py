"""The cgroups under which the containers of a cluster run: one folder for the cluster in every hierarchy.

The machine's own cgroups and their mounts stay as they are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["create", "leftovers", "remove"]

_REMOVAL = 10.0  # seconds; the kernel counts a killed task until it is reaped


def create(cluster: str, nodes: Iterable[str]) -> None:
    """Make `<hierarchy>/<cluster>/<node>` in every hierarchy of the machine."""
    for hierarchy in _hierarchies():
        _delegate(hierarchy)
        for path in (hierarchy / cluster, *(hierarchy / cluster / node for node in nodes)):
            path.mkdir()
            _inherit_cpuset(path)
            _delegate(path)


def remove(cluster: str) -> None:
    """Remove the cluster's cgroups, once the last of its processes has gone.

    Raises:
        OSError: one is still in use after ten seconds.
    """
    ends = time.monotonic() + _REMOVAL
    for path in leftovers(cluster):
        while True:
            try:
                path.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.01)
                continue
            break


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
    # Version 2 hands a controller down only where it is told to.
    if (path / "cgroup.subtree_control").exists():
        for controller in (path / "cgroup.controllers").read_text().split():
            (path / "cgroup.subtree_control").write_text(f"+{controller}")
