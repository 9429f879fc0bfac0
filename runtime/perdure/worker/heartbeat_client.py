"""The worker's side of its heartbeat process: starts it, reports whether runs are held, receives cancellations."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO
from uuid import UUID

from ..names import RunId
from ..owned_thread import Died, OwnedThread
from .heartbeat_process import HeartbeatOrder

__all__ = ["HeartbeatClient"]

_RESTART_PAUSE = 1.0
_LAST_WAIT = 2.0
"""Seconds for a killed process to end."""


class HeartbeatClient:
    """The heartbeat process of this worker, started when it is first busy, and again should it die.

    Args:
        order: its settings.
        cancelled: gets runs whose cancellation is requested; called in a thread of its own.
        ended: called when the process has ended unasked, in the same thread.
        died: gets the error that ended that thread before the process.
    """

    def __init__(
        self,
        order: HeartbeatOrder,
        *,
        cancelled: Callable[[list[RunId]], None],
        ended: Callable[[], None],
        died: Died,
    ) -> None:
        self._order = order
        self._cancelled = cancelled
        self._ended = ended
        self._died = died
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._busy = False

    def tell(self, *, busy: bool) -> None:
        """The worker holds runs, or is about to; or it holds none."""
        if busy == self._busy:
            return
        self._busy = busy
        self._send(b"busy\n" if busy else b"idle\n")
        if busy:
            self.revive()

    def revive(self) -> float | None:
        """Start the process if it is needed and not there. Returns seconds to wait before that is tried again."""
        if not self._busy or (self._process is not None and self._process.poll() is None):
            return None
        left = self._started + _RESTART_PAUSE - time.monotonic()
        if self._process is not None and left > 0:
            return left
        self._forget()
        self._started = time.monotonic()
        # The modules of this process must be importable there, and no file of the current folder instead of them.
        package = str(Path(__file__).parents[2])
        path = os.environ.get("PYTHONPATH")
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "perdure.worker.heartbeat_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{package}" if path else package},
        )
        self._process = process
        self._send(f"{self._order.to_json()}\nbusy\n".encode())
        assert process.stdout is not None
        OwnedThread(partial(self._read, process, process.stdout), name="perdure-heartbeat", died=self._died).start()
        return None

    def stop(self) -> None:
        """End the process, which is not to take the worker's end for a death."""
        self._busy = False
        if self._process is not None:
            self._process.kill()
            # With a limit: an error that strikes a thread inside of `poll` leaves `Popen` locked for good.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LAST_WAIT)
        self._forget()

    def give_up(self, why: str) -> None:
        """Have the process release the runs that this worker still holds, for as long as that takes, and end.

        The worker has no heartbeat any more. Without the process, other workers notice that, and take over its runs.
        """
        self._busy = False
        self._send(f"gone {json.dumps(why)}\n".encode())
        self._forget()

    def _send(self, line: bytes) -> None:
        if self._process is not None and self._process.stdin is not None:
            # The reading thread notices the end of the process.
            with contextlib.suppress(OSError):
                self._process.stdin.write(line)

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()

    def _read(self, process: subprocess.Popen[bytes], answers: IO[bytes]) -> None:
        with answers:
            rest = b""
            while read := os.read(answers.fileno(), 65536):
                *lines, rest = (rest + read).split(b"\n")
                for line in lines:
                    word, *ids = line.decode().split()
                    if word == "cancel":
                        self._cancelled([RunId(UUID(one)) for one in ids])
        process.wait()
        self._ended()
