"""The heartbeat of a worker, in a process of its own: user code may hold the worker's interpreter for long.

Started by the worker, it reads from standard input the worker's identity, then `busy` and `idle`, a line each. It
raises the worker's counter four times a lease while that is busy, and writes a line `cancel ID...` for runs whose
cancellation is requested. A worker that is stopped (SIGSTOP) gets no heartbeat. When the worker dies, or has written
`gone REASON`, this process releases its runs at once, and ends; a worker that ends in order ends it first.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from ..attempt_ends import AttemptEnd
from ..errors import StoreError, StoreUnavailable
from ..process.identity import is_stopped, process_started
from ..store.postgres.process_identity import ProcessIdentity
from ..store.workers.processes import ProcessEnd, ProcessStore
from ..store.workers.release import Release

__all__ = ["BEATS_PER_LEASE", "HeartbeatOrder", "main"]

BEATS_PER_LEASE = 4
_LONGEST_PAUSE = 1.0
_REPORT_FOR = 600.0
"""Seconds for which the worker's death is reported to a store that is away; by then others have long seen it."""


@dataclass(frozen=True, slots=True)
class HeartbeatOrder:
    """The worker and its store: the first line that the process reads."""

    url: str
    owner: str
    lease: float
    process: ProcessIdentity

    def to_json(self) -> str:
        """One line of text."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str | bytes) -> HeartbeatOrder:
        """What `to_json` wrote."""
        read: dict[str, Any] = json.loads(text)
        process = read.pop("process")
        return cls(process=ProcessIdentity(**{**process, "id": UUID(process["id"])}), **read)


class _Lines:
    """Standard input, a line at a time, as far as it has come."""

    def __init__(self) -> None:
        self._rest = b""
        self.ended = False

    def read(self) -> list[bytes]:
        """The lines of one read, which waits for something to come."""
        read = os.read(0, 65536)
        self.ended = not read
        *lines, self._rest = (self._rest + read).split(b"\n")
        return lines


class _Heartbeat:
    def __init__(self, order: HeartbeatOrder, lines: _Lines) -> None:
        self._order = order
        self._lines = lines
        self._store = ProcessStore(order.url, order.lease)
        self._interval = order.lease / BEATS_PER_LEASE
        self._busy = False
        self._next = 0.0
        self._failures = 0
        self._gone: str | None = None
        """Why the worker holds its runs no more, though its process may live."""
        self._poll = select.poll()
        self._poll.register(0, select.POLLIN | select.POLLHUP)
        self._worker: int | None = None
        # A pipe stays open in the children that the worker forks; this ends with the worker itself.
        with contextlib.suppress(AttributeError, OSError):
            self._worker = os.pidfd_open(order.process.pid)
            self._poll.register(self._worker, select.POLLIN)

    def obey(self, lines: list[bytes]) -> None:
        """Take in lines from the worker."""
        for line in lines:
            if line == b"idle":
                # The counter may stand still: no process watches a worker that holds no run.
                self._busy = False
                self._store.close()
            elif line == b"busy" and not self._busy:
                self._busy = True
                self._next = time.monotonic() + self._interval
            elif line.startswith(b"gone "):
                self._gone = json.loads(line.removeprefix(b"gone "))

    def run(self) -> None:
        """Until the worker dies."""
        if process_started(self._order.process.pid) != self._order.process.pid_started:
            self._report_death()
            return
        while True:
            left = max(0.0, self._next - time.monotonic()) if self._busy else None
            ready = dict(self._poll.poll(None if left is None else left * 1000 + 1))
            if 0 in ready:
                self.obey(self._lines.read())
                if self._lines.ended or self._gone is not None:
                    self._report_death()
                    return
            elif self._worker in ready:
                self._report_death()
                return
            if self._busy and time.monotonic() >= self._next:
                self._beat()

    def _beat(self) -> None:
        now = time.monotonic()
        if is_stopped(self._order.process.pid):
            self._next = now + self._interval
            return
        try:
            cancelled = self._store.beat(self._order.process, self._order.owner)
        except StoreError as error:
            self._failures += 1
            if self._failures == 1:
                _say(f"trying again: {error}")
            self._next = now + min(_LONGEST_PAUSE, self._interval, 0.05 * 2 ** min(self._failures, 10))
            return
        self._failures = 0
        self._next = now + self._interval
        if cancelled:
            with contextlib.suppress(BrokenPipeError):
                os.write(1, b"cancel " + b" ".join(str(run).encode() for run in cancelled) + b"\n")

    def _report_death(self) -> None:
        process = self._order.process
        until = time.monotonic() + _REPORT_FOR
        pause = 0.05
        detail = self._gone or f"its worker (pid {process.pid} on {process.host}) died"
        release = Release(
            self._store, process.id, ProcessEnd(AttemptEnd.CRASHED, detail, sure=True), lease=self._order.lease
        )
        while time.monotonic() < until:
            try:
                release.finish()
            except StoreUnavailable as error:
                if pause <= 0.05:
                    _say(f"trying again: {error}")
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        os.write(2, f"perdure worker's heartbeat: {text}\n".encode())


def main() -> None:
    """Be the heartbeat of the worker that started this process."""
    # A signal for the whole group is for the worker, which ends this process when it has ended its runs in order.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lines = _Lines()
    first: list[bytes] = []
    while not first and not lines.ended:
        first = lines.read()
    if not first:
        return
    heartbeat = _Heartbeat(HeartbeatOrder.from_json(first[0]), lines)
    heartbeat.obey(first[1:])
    try:
        heartbeat.run()
    except StoreError as error:
        _say(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
