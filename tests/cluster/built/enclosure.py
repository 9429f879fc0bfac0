"""The namespaces in which everything of one cluster runs, so that the kernel itself ends it all.

An enclosure has process, mount and network namespaces of its own. A keeper, a process outside of them (keeper.py),
holds its first process: when that ends, the kernel ends every process, mount, link and iptables rule inside. What is
left then (a folder, a folder in each cgroup hierarchy, one end of a link) the keeper removes, and should the keeper
itself have been killed, the next enclosure does, by `sweep`.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import cgroups

__all__ = [
    "Enclosure",
    "claimed_folder",
    "clear",
    "find",
    "folder_of",
    "open_enclosure",
    "open_lasting_enclosure",
    "sweep",
]

_HOME = Path("/var/tmp")  # on disk, also where /tmp is memory
_PREFIX = "perdure-cluster-"
_TREE = Path(__file__).resolve().parents[3]
_PIDS = "enclosure.json"  # in its folder; written last
_OPENING = 60.0  # seconds within which a keeper has claimed its folder
_END = 30.0  # seconds until an enclosure that was told to end must be gone


@dataclass(frozen=True, slots=True)
class Enclosure:
    """One enclosure that lives: its name and folder, and the process ids of its keeper and of its first process."""

    name: str
    folder: Path
    keeper: int
    init: int

    @property
    def cgroup(self) -> str:
        """The folder of its containers in each cgroup hierarchy."""
        return self.folder.name

    @property
    def link(self) -> str:
        """The end of its link that stands outside."""
        return _link(self.name)

    def inside(self, arguments: Sequence[str], *, network: str | None = None) -> list[str]:
        """The command that runs `arguments` inside, in the network namespace `network` or that of the control plane."""
        here = f"/proc/{self.init}"
        net = f"{here}/root/run/netns/{network}" if network else f"{here}/ns/net"
        return ["nsenter", f"--mount={here}/ns/mnt", f"--pid={here}/ns/pid", f"--net={net}", "--", *arguments]

    def run(self, *arguments: str, network: str | None = None) -> str:
        """Run a command inside to its end and return what it printed.

        Raises:
            RuntimeError: it failed; the message holds what it printed.
        """
        done = subprocess.run(
            self.inside(arguments, network=network),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stdout}")
        return done.stdout

    def end(self) -> None:
        """End everything inside and wait until nothing of it is left.

        Raises:
            TimeoutError: something of it is still there after 30 s.
        """
        try:
            keeper = os.pidfd_open(self.keeper)
        except ProcessLookupError:
            sweep()
            return
        try:
            signal.pidfd_send_signal(keeper, signal.SIGTERM)
            gone, _, _ = select.select([keeper], [], [], _END)
        finally:
            os.close(keeper)
        if not gone:
            raise TimeoutError(
                f"{self.folder} is still there {_END:g} s after process {self.keeper} was told to end it"
            )


@contextmanager
def open_enclosure(name: str, nodes: Sequence[str]) -> Iterator[Enclosure]:
    """An enclosure with cgroups for `nodes`, until the block ends or this process does, however it does.

    Raises:
        RuntimeError: it cannot be made; the message says why.
    """
    with _keeper(name, nodes, stdin=subprocess.PIPE) as keeper:
        enclosure = _opened(keeper, name)
        try:
            yield enclosure
        finally:
            enclosure.end()


def open_lasting_enclosure(name: str, nodes: Sequence[str]) -> Enclosure:
    """An enclosure that outlives this process: `find(name).end()` ends it."""
    keeper = _keeper(name, nodes, stdin=subprocess.DEVNULL, lasting=True)
    return _opened(keeper, name)


def find(name: str) -> Enclosure | None:
    """The enclosure of that name, if it lives."""
    folder = folder_of(name)
    with claimed_folder(folder) as claimed:
        if claimed or not (folder / _PIDS).exists():
            return None
    pids = json.loads((folder / _PIDS).read_text())
    return Enclosure(name, folder, pids["keeper"], pids["init"])


def sweep() -> None:
    """Remove what enclosures left whose keepers were killed. Those that live stay as they are."""
    for folder in _HOME.glob(f"{_PREFIX}*"):
        with claimed_folder(folder) as claimed:
            if claimed and _abandoned(folder):
                clear(folder)


def clear(folder: Path) -> None:
    """Remove what remains of an enclosure once its processes are gone."""
    link = _link(folder.name.removeprefix(_PREFIX))
    if Path("/sys/class/net", link).exists():
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
    cgroups.remove(folder.name)
    shutil.rmtree(folder)


def _abandoned(folder: Path) -> bool:
    # Anybody may make a folder there, and a keeper has not claimed its folder in the instant when it makes it.
    made = folder.stat()
    return made.st_uid == 0 and ((folder / _PIDS).exists() or time.time() - made.st_mtime > _OPENING)


def folder_of(name: str) -> Path:
    """Where the enclosure of that name keeps its files."""
    return _HOME / f"{_PREFIX}{name}"


@contextmanager
def claimed_folder(folder: Path) -> Iterator[bool]:
    """Whether nobody else holds `folder`; if so, this process does, for the block."""
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another may have removed the folder in between.
        yield folder.exists() and os.path.samestat(os.fstat(opened), folder.stat())
    except BlockingIOError:
        yield False
    finally:
        os.close(opened)


def _link(name: str) -> str:
    return f"perdure-{name}"


def _keeper(name: str, nodes: Sequence[str], *, stdin: int, lasting: bool = False) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"{__package__}.keeper", name, *nodes, *(["--lasting"] if lasting else [])]
    # A session of its own: neither Ctrl-C nor the end of a terminal reaches it.
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, cwd=_TREE, text=True, start_new_session=True)


def _opened(keeper: subprocess.Popen[str], name: str) -> Enclosure:
    assert keeper.stdout
    if keeper.stdout.readline() != "open\n":
        raise RuntimeError(f"no namespaces for a cluster: the keeper ended with {keeper.wait()}")
    enclosure = find(name)
    assert enclosure, "its keeper has just said that it lives"
    return enclosure
