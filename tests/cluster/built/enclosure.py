"""The namespaces in which everything of one cluster runs, so that the kernel itself ends it all.

An enclosure has process, mount and network namespaces of its own. A keeper, a process outside of them (keeper.py),
holds its first process: when that ends, the kernel ends every process, mount, link and iptables rule inside. What is
left then (a folder, a folder in each cgroup hierarchy, one end of a link) the keeper removes, and should the keeper
itself have been killed, the next enclosure does, by `sweep`.
"""

from __future__ import annotations

import contextlib
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
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.commands import printed

from . import cgroups

__all__ = [
    "PIDS",
    "Enclosure",
    "claimed_folder",
    "clear",
    "find",
    "folder_of",
    "open_enclosure",
    "open_lasting_enclosure",
    "release",
    "started",
    "sweep",
]

PIDS = "enclosure.json"  # in its folder, for as long as one may enter
_HOME = Path("/var/tmp")  # on disk, also where /tmp is memory
_PREFIX = "perdure-cluster-"
_TREE = Path(__file__).resolve().parents[3]
_CLEARING = 10.0  # seconds within which what was killed is gone
_END = 120.0  # seconds until an enclosure that was told to end must be gone


@dataclass(frozen=True, slots=True)
class Enclosure:
    """One enclosure that lives: its name and folder, and the process ids of its keeper and of its first process."""

    name: str
    folder: Path
    keeper: int
    init: int
    keeper_started: int
    """In clock ticks since boot: with the id this names a process for good."""
    _holder: subprocess.Popen[str] | None = field(default=None, compare=False, repr=False)
    """The keeper, where this process started it."""

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
        enter = ["nsenter", f"--mount={here}/ns/mnt", f"--pid={here}/ns/pid", f"--net={net}"]
        # What is killed leaves its temporary files; here they go with the rest.
        return [*enter, "--", "env", _temporary(self.folder), *arguments]

    def run(self, *arguments: str, network: str | None = None) -> str:
        """Run a command inside to its end and return what it printed.

        Raises:
            RuntimeError: it failed; the message holds what it printed.
        """
        return printed(self.inside(arguments, network=network), told_as=arguments)

    def stay(self) -> None:
        """Let it outlive this process, which has started it: from now on only `end` ends it."""
        assert self._holder, "only who started it can let it go"
        assert self._holder.stdin
        self._holder.stdin.write("stay\n")
        self._holder.stdin.flush()

    def end(self) -> None:
        """End everything inside and wait until nothing of it is left. It may have ended before.

        Raises:
            RuntimeError: something of it is still there after two minutes, or its keeper could not remove it.
        """
        try:
            keeper = os.pidfd_open(self.keeper)
        except ProcessLookupError:
            pass
        else:
            try:
                self._tell(keeper)
            finally:
                os.close(keeper)
        if self._holder:
            _close(self._holder)
        if self.folder.exists():
            sweep()
        if self.folder.exists():
            raise RuntimeError(f"{self.folder} is still there, though its keeper has ended: see what uses it")

    def _tell(self, keeper: int) -> None:
        if started(self.keeper) != self.keeper_started:
            return  # the number is another's by now
        signal.pidfd_send_signal(keeper, signal.SIGTERM)
        gone, _, _ = select.select([keeper], [], [], _END)
        if not gone:
            raise RuntimeError(f"{self.folder} is still there {_END:g} s after process {self.keeper} was to remove it")


@contextmanager
def open_enclosure(name: str, nodes: Sequence[str]) -> Iterator[Enclosure]:
    """An enclosure with cgroups for `nodes`, until the block ends or this process does, however it does.

    Raises:
        RuntimeError: it cannot be made; the message says why.
    """
    enclosure = open_lasting_enclosure(name, nodes)
    try:
        yield enclosure
    finally:
        enclosure.end()


def open_lasting_enclosure(name: str, nodes: Sequence[str]) -> Enclosure:
    """As `open_enclosure`, but after `Enclosure.stay` it outlives this process: `find(name).end()` ends it."""
    command = [sys.executable, "-m", f"{__package__}.keeper", name, *nodes]
    keeper = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=_TREE,
        text=True,
        start_new_session=True,  # neither Ctrl-C nor the end of a terminal reaches it
    )
    assert keeper.stdout
    try:
        said = keeper.stdout.readline()
        if said != "open\n":
            raise RuntimeError(f"no namespaces for the cluster {name}: {said}{keeper.stdout.read()}")
        enclosure = _read(name, keeper)
        assert enclosure, "its keeper has just said that it lives"
    except BaseException:
        _close(keeper)
        raise
    return enclosure


def find(name: str) -> Enclosure | None:
    """The enclosure of that name, if it lives."""
    enclosure = _read(name)
    return enclosure if enclosure and started(enclosure.keeper) == enclosure.keeper_started else None


def sweep() -> None:
    """Remove what enclosures left whose keepers were killed. Those that live stay as they are."""
    for folder in _HOME.glob(f"{_PREFIX}*"):
        with claimed_folder(folder) as claimed:
            if claimed:
                try:
                    clear(folder)
                except OSError:
                    # A process of it hangs in the kernel. That is no reason not to start another, which will try again.
                    continue


def clear(folder: Path) -> None:
    """Remove what remains of an enclosure once its processes are gone, or are about to be.

    Raises:
        OSError: something of it is still in use after ten seconds.
    """
    until = time.monotonic() + _CLEARING
    link = _link(folder.name.removeprefix(_PREFIX))
    if Path("/sys/class/net", link).exists():
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)
    release(folder)
    cgroups.remove(folder.name, until)
    while True:
        try:
            shutil.rmtree(folder)
        except OSError:
            # Who is about to die may still write.
            if time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def release(folder: Path) -> None:
    """Let everything of an enclosure go on that is held: what is held cannot end, not even by SIGKILL."""
    cgroups.thaw(folder.name)
    for process in Path("/proc").glob("[0-9]*"):
        # nsenter stops with the process that it has let in, and must take notice of its end for it to be gone.
        with contextlib.suppress(OSError):
            program, *arguments = (process / "cmdline").read_text(errors="replace").split("\0")
            if program == "nsenter" and _temporary(folder) in arguments:
                os.kill(int(process.name), signal.SIGCONT)


def folder_of(name: str) -> Path:
    """Where the enclosure of that name keeps its files."""
    return _HOME / f"{_PREFIX}{name}"


@contextmanager
def claimed_folder(folder: Path, *, wait: bool = False) -> Iterator[bool]:
    """Whether nobody else holds `folder`, which must be root's; if so, this process does, for the block.

    With `wait` it waits until nobody else does.
    """
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        yield False
        return
    try:
        # Anybody may make a folder there; and another process may have removed this one in between.
        yield (
            os.fstat(opened).st_uid == 0
            and _locked(opened, wait=wait)
            and folder.exists()
            and os.path.samestat(os.fstat(opened), folder.stat())
        )
    finally:
        os.close(opened)


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if none of that id lives."""
    try:
        state, *others = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(others[18])


def _read(name: str, holder: subprocess.Popen[str] | None = None) -> Enclosure | None:
    folder = folder_of(name)
    try:
        pids = json.loads((folder / PIDS).read_text())
    except FileNotFoundError:
        return None
    return Enclosure(name, folder, pids["keeper"], pids["init"], pids["keeper_started"], holder)


def _temporary(folder: Path) -> str:
    return f"TMPDIR={folder}/tmp"


def _locked(opened: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _close(keeper: subprocess.Popen[str]) -> None:
    """Let go of a keeper, which ends it, and see it end."""
    assert keeper.stdin
    assert keeper.stdout
    keeper.stdin.close()
    keeper.stdout.close()
    keeper.wait(_END)


def _link(name: str) -> str:
    return f"perdure-{name}"
