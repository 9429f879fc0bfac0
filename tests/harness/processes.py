"""Child processes of a test: their output in files, their signals, their descendants; none outlives its test."""

from __future__ import annotations

import os
import signal as signals
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .clock import remove_traces
from .eventually import eventually

if TYPE_CHECKING:
    from .workspace import Workspace


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the name: state, parent, group, session ..."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    stat = _stat(pid)
    return stat is not None and stat[0] not in "ZX"


def stopped(pid: int) -> bool:
    """Whether the process is held by SIGSTOP."""
    stat = _stat(pid)
    return stat is not None and stat[0] == "T"


def start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot: with the id this names a process for good."""
    stat = _stat(pid)
    return None if stat is None else int(stat[19])


def _stats() -> Iterator[tuple[int, list[str]]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))) is not None:
            yield int(entry), stat


def descendants(pid: int) -> list[int]:
    """Ids of all living children of `pid`, their children, and so on, parents first."""
    children: dict[int, list[int]] = {}
    for child, stat in _stats():
        if stat[0] not in "ZX":
            children.setdefault(int(stat[1]), []).append(child)
    found = list(children.get(pid, []))
    for parent in found:  # grows while we walk it
        found.extend(children.get(parent, []))
    return found


def signal_all(pids: Sequence[int], number: signals.Signals) -> None:
    """Signal each process that still exists. With SIGKILL it returns when they are dead, which may take a moment."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
    if number == signals.SIGKILL:
        eventually(lambda: not any(alive(pid) for pid in pids))


class Child:
    """A child in a session and process group of its own, whose output goes to files."""

    def __init__(self, argv: Sequence[str], folder: Path, *, env: Mapping[str, str], cwd: Path | None = None) -> None:
        self.argv = list(argv)
        self.folder = folder
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(env),
                cwd=cwd or folder,
                start_new_session=True,
            )
        self.pid = self.process.pid
        self._born = start_ticks(self.pid)

    @property
    def output(self) -> str:
        """What it has written to standard output so far."""
        return self._out.read_text(errors="replace")

    @property
    def errors(self) -> str:
        """What it has written to standard error so far."""
        return self._err.read_text(errors="replace")

    def running(self) -> bool:
        return self.process.poll() is None

    def wait_for_output(self, text: str, deadline: float = 10.0) -> str:
        """Wait until its standard output holds `text`; fails at once if it ends without."""

        def seen() -> bool:
            ended = not self.running()
            if text in self.output:
                return True
            if ended:
                raise RuntimeError(f"{self} ended without printing {text!r}")
            return False

        eventually(seen, deadline)
        return self.output

    def wait(self, deadline: float = 10.0) -> int:
        """Its exit code, negative for a signal; AssertionError if it still runs after `deadline` seconds."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"{self} still runs after {deadline:g} s") from late

    def signal(self, number: signals.Signals) -> None:
        """Signal the process alone."""
        self.process.send_signal(number)

    def signal_group(self, number: signals.Signals) -> None:
        """Signal its process group, as a terminal or a container runtime does."""
        os.killpg(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to the process alone; returns when it is dead."""
        self.signal(signals.SIGKILL)
        self.process.wait()

    def kill_group(self) -> None:
        """SIGKILL to its process group; returns when the process is dead."""
        self.signal_group(signals.SIGKILL)
        self.process.wait()

    def pause(self, *, group: bool = True) -> None:
        """SIGSTOP; returns when the process is held."""
        (self.signal_group if group else self.signal)(signals.SIGSTOP)
        eventually(lambda: stopped(self.pid))

    def resume(self, *, group: bool = True) -> None:
        """SIGCONT."""
        (self.signal_group if group else self.signal)(signals.SIGCONT)

    def descendants(self) -> list[int]:
        """Ids of its living descendants."""
        return descendants(self.pid)

    def close(self) -> None:
        """Kill it, its descendants, and whoever is left in its session, though it may have ended long ago."""
        left = self._left()
        while left:
            signal_all(left, signals.SIGKILL)
            if self.process.returncode is None:
                self.process.wait()
            left = [pid for pid in self._left() if alive(pid)]
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        remove_traces(self.pid)

    def _left(self) -> list[int]:
        if alive(self.pid) and start_ticks(self.pid) != self._born:
            return []  # the number is another's by now, so nobody of ours is left: a living session keeps its number
        session = [pid for pid, stat in _stats() if stat[0] not in "ZX" and int(stat[3]) == self.pid]
        below = [found for pid in (self.pid, *session) for found in descendants(pid)]
        return list(dict.fromkeys([*session, *below]))

    def __str__(self) -> str:
        code = self.process.poll()
        state = "running" if code is None else f"exit code {code}"
        return f"{self.argv} ({state})\n--- stdout\n{self.output}\n--- stderr\n{self.errors}"


class Children:
    """Starts children and, when closed, leaves none of them behind."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._started: list[Child] = []

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str | None] | None = None, cwd: Path | None = None
    ) -> Child:
        """Start a command with this process's environment and `env` on top; None takes a variable away."""
        return self._start(argv, self._workspace.new_folder("child"), env, cwd)

    def code(
        self,
        source: str,
        *args: str,
        python: str = sys.executable,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """Start Python on `source`, kept in a file so that tracebacks and debuggers show it; unbuffered."""
        folder = self._workspace.new_folder("child")
        script = folder / "main.py"
        script.write_text(textwrap.dedent(source))
        return self._start([python, "-u", str(script), *args], folder, env, cwd)

    def module(
        self,
        name: str,
        *args: str,
        python: str = sys.executable,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """Start `python -m name`; unbuffered."""
        return self.start([python, "-u", "-m", name, *args], env=env, cwd=cwd)

    def close(self) -> None:
        for child in self._started:
            child.close()

    def _start(
        self, argv: Sequence[str], folder: Path, env: Mapping[str, str | None] | None, cwd: Path | None
    ) -> Child:
        merged = {**self._workspace.environment(), **(env or {})}
        kept = {name: value for name, value in merged.items() if value is not None}
        child = Child(argv, folder, env=kept, cwd=cwd)
        self._started.append(child)
        return child
