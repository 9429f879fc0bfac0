"""One part of a cluster: a process inside the enclosure that tests may kill, pause and start again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .enclosure import Enclosure

__all__ = ["Part"]

_STOPPING = 10.0  # seconds


@dataclass(slots=True)
class Part:
    """A process that `start` starts inside `enclosure`, in the network namespace `network`; it prints to `log`."""

    name: str
    enclosure: Enclosure
    command: Sequence[str]
    log: Path
    network: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    _entered: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it may have been started before."""
        assert not self.running, f"{self.name} is running"
        with self.log.open("ab") as log:
            self._entered = subprocess.Popen(
                self.enclosure.inside(self.command, network=self.network),
                env={"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def started(self) -> bool:
        """Whether it has ever been started."""
        return self._entered is not None

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._entered is not None and self._entered.poll() is None

    @property
    def pid(self) -> int:
        """Its process id, as the machine sees it."""
        assert self._entered, f"{self.name} was never started"
        # What enters a namespace of processes forks, for only a child can be in it.
        children = Path(f"/proc/{self._entered.pid}/task/{self._entered.pid}/children")
        while self.running:
            if child := children.read_text().split():
                return int(child[0])
            time.sleep(0.005)
        raise RuntimeError(f"{self.name} is not running; its last words are in {self.log}:\n{self.last_words()}")

    def kill(self) -> None:
        """End it by SIGKILL, and wait until it has ended."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order, by SIGTERM; by SIGKILL after ten seconds."""
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self) -> None:
        """Kill it and start it again at once."""
        self.kill()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold it by SIGSTOP while the block runs: alive, and answering nothing."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            if self.running:
                os.kill(pid, signal.SIGCONT)
                self._wake()

    def last_words(self) -> str:
        """The last 20 lines that it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:]) if self.log.exists() else ""

    def reap(self) -> None:
        """Take notice of its end, once the enclosure has ended."""
        if self._entered:
            self._entered.wait(_STOPPING)

    def _end(self, by: signal.Signals) -> None:
        assert self._entered, f"{self.name} was never started"
        if self.running:
            os.kill(self.pid, by)
            self._wake()
            self._entered.wait(_STOPPING)

    def _wake(self) -> None:
        # What enters a namespace stops along with its child, and would never hear of the child's end.
        assert self._entered
        self._entered.send_signal(signal.SIGCONT)
