"""Commands that take minutes: what they print, a line now and then while they run, and why they failed."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.harness.cache import Say

__all__ = ["Failed", "output", "progress", "run"]

EVERY_S = 10.0

# What Go, apt, pip and engines for images print when the network, and not the command, is at fault.
_NO_NETWORK = re.compile(
    r"dial (?:tcp|udp)|lookup |proxyconnect|[Tt]imeout|: EOF$|reset by peer|tls: |x509: |: 50\d |GOPROXY"
    r"|[Tt]emporary failure (?:in name resolution|resolving)|Could not (?:connect|resolve)|NewConnectionError"
)


class Failed(RuntimeError):
    """A command that ended with an error; the message holds the last lines that it printed."""

    def __init__(self, command: Sequence[str], code: int, last: Sequence[str]) -> None:
        super().__init__(f"{' '.join(command)} ended with {code}:\n" + "\n".join(last))
        self.no_network = next((line.strip() for line in reversed(last) if _NO_NETWORK.search(line)), None)
        """The line that blames the network, if there is one."""


def output(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, results: str | None = None
) -> Iterator[str]:
    """The lines that a command prints, as it prints them; `Failed` at the end if it failed.

    Lines that begin with `results` are what it found out, and explain no failure.

    When the caller stops reading, or dies, nobody reads what the command prints, which ends it, too.
    """
    last: deque[str] = deque(maxlen=30)
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if results is None or not line.startswith(results):
                    last.append(line.rstrip())
                yield line.rstrip()
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise Failed(command, process.returncode, last)


def run(command: Sequence[str], label: str, say: Say, *, env: Mapping[str, str] | None = None) -> None:
    """Run a command to its end; where that takes long, say what it printed last."""
    last = ""
    with progress(say, lambda: f"{label}: {last}"):
        for line in output(command, env=env):
            last = line


@contextmanager
def progress(say: Say, now: Callable[[], str]) -> Iterator[None]:
    """Say what `now` returns, every ten seconds for as long as the block runs."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(EVERY_S):
            say(now())

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
