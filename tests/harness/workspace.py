"""The temporary folder in which everything that a test run starts lives, and its removal.

Invariant: every process that the harness starts carries the folder's path in its environment or works inside
the folder, so that ending a workspace finds all of them, also those that left their process group or whose
test run was killed. The folder names its owner; a later run removes what a dead owner left.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from .processes import alive, start_ticks

VARIABLE = "PERDURE_TEST_WORKSPACE"
_PREFIX = "perdure-tests-"
_OWNER = "owner"
_ROOT = Path("/tmp")  # not TMPDIR: the path of a Unix socket holds 107 bytes


class Workspace:
    """A folder of this process; use as a context manager."""

    def __init__(self) -> None:
        remove_leftovers()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_ROOT))
        self.folder.chmod(0o755)  # the servers in it run as another user
        self._owner = os.getpid()
        (self.folder / _OWNER).write_text(f"{self._owner} {start_ticks(self._owner)}")
        self._folders = 0
        atexit.register(self.close)

    def new_folder(self, name: str) -> Path:
        """An empty folder with a short path of its own."""
        self._folders += 1
        folder = self.folder / f"{name}{self._folders}"
        folder.mkdir()
        return folder

    def environment(self) -> dict[str, str]:
        """The environment for a process of this workspace."""
        return {**os.environ, VARIABLE: str(self.folder)}

    def close(self) -> None:
        """End every process of this workspace and remove the folder; does nothing the second time."""
        if os.getpid() == self._owner and self.folder.exists():
            atexit.unregister(self.close)
            _remove(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def processes_in(folder: Path) -> list[int]:
    """Ids of all living processes that belong to `folder`."""
    mark = f"{VARIABLE}={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            # Postgres overwrites its environment with its process title, but works in its data folder.
            inside = Path(os.readlink(entry / "cwd")).is_relative_to(folder)
            if inside or mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # gone meanwhile, or another user's
            continue
    return found


def remove_leftovers() -> None:
    """Remove the workspaces whose owner no longer exists."""
    for folder in _ROOT.glob(f"{_PREFIX}*"):
        try:
            pid, ticks = (folder / _OWNER).read_text().split()
        except (OSError, ValueError):
            try:
                age = time.time() - folder.stat().st_mtime
            except OSError:
                continue
            if age > 60:  # younger: its owner is just writing its name
                _remove(folder)
            continue
        if not (alive(int(pid)) and start_ticks(int(pid)) == int(ticks)):
            _remove(folder)


def _remove(folder: Path) -> None:
    ends = time.monotonic() + 10
    while (pids := processes_in(folder)) and time.monotonic() < ends:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    for pid_file in folder.glob("*/data/postmaster.pid"):
        remove_shared_memory(pid_file)
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if (mounted := Path(line.split()[1])).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", mounted], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def remove_shared_memory(pid_file: Path) -> None:
    """Remove the System V segment that a killed server left; line 7 of its pid file names it."""
    try:
        segment = pid_file.read_text().splitlines()[6].split()[1]
    except (OSError, IndexError):
        return
    subprocess.run(["ipcrm", "--shmem-id", segment], check=False, capture_output=True)
