"""The process of one attempt that `perdure run` starts, and its output and events. One thread waits for all of it."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self
from uuid import UUID

from ..names import hash_seed
from .progress_events import VARIABLE as EVENTS_VARIABLE

__all__ = ["AttemptProcess", "StopRequests"]

_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031


class StopRequests:
    """Ctrl-C, SIGTERM and the terminal's end, counted while the context lasts; `fileno` becomes readable with each."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        self._before: dict[int, Any] = {}
        self.count = 0
        self.first: signal.Signals | None = None

    def fileno(self) -> int:
        """For selectors."""
        return self._reading

    def clear(self) -> None:
        """Make `fileno` wait for the next."""
        with suppress(BlockingIOError):
            os.read(self._reading, 4096)

    def __enter__(self) -> Self:
        self._fd_before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._reading)
        os.close(self._writing)

    def _count(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        self.first = self.first or signal.Signals(number)


class AttemptProcess:
    """`perdure exec`, in a session of its own, so that Ctrl-C reaches only the command; it dies with the command.

    Args:
        environment: what names the attempt, `PERDURE_RUN_ID` included, on top of this process's environment.
        event: takes each event.
        output: takes what user code writes; None has it write to our standard error itself.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        event: Callable[[dict[str, Any]], None],
        output: Callable[[str], None] | None,
    ) -> None:
        self._event = event
        self._output = output
        self._lines = b""
        self._terminated = False
        events, events_writing = os.pipe()
        _widen(events)
        self._selector = selectors.DefaultSelector()
        try:
            self._process = subprocess.Popen(
                # -P: a file of the current folder must not stand in for a module of Python's.
                [sys.executable, "-P", "-m", "perdure.cli", "exec"],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr if output is None else subprocess.PIPE,
                stderr=None if output is None else subprocess.STDOUT,
                env={
                    # The user's own environment overrides it.
                    "PYTHONHASHSEED": str(hash_seed(UUID(environment["PERDURE_RUN_ID"]))),
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    **environment,
                    EVENTS_VARIABLE: str(events_writing),
                    "PERDURE_PARENT": str(os.getpid()),
                },
                pass_fds=(events_writing,),
                start_new_session=True,
            )
        except BaseException:
            os.close(events)
            raise
        finally:
            os.close(events_writing)
        self._readers: dict[int, Callable[[bytes], None]] = {events: self._take_events}
        if self._process.stdout is not None:
            self._readers[os.dup(self._process.stdout.fileno())] = self._take_output
            self._process.stdout.close()
        for descriptor in self._readers:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._pidfd = os.pidfd_open(self._process.pid)
        self._selector.register(self._pidfd, selectors.EVENT_READ)

    def terminate(self) -> None:
        """Have it finish the step in flight and release the run; the second time, at once."""
        # It counts SIGTERM and SIGINT alike. Two of one kind merge if it has not taken the first when the second comes.
        self._process.send_signal(signal.SIGINT if self._terminated else signal.SIGTERM)
        self._terminated = True

    def kill(self) -> None:
        """End it on the spot, and all that it started."""
        self._process.kill()

    def wait(self, stops: StopRequests, timeout: float) -> int | None:
        """Process output and events until some came or `timeout` seconds have passed. Its exit code, once it ended."""
        stopping = self._selector.register(stops, selectors.EVENT_READ)
        try:
            ready = [key.fd for key, _ in self._selector.select(timeout)]
        finally:
            self._selector.unregister(stopping.fileobj)
        stops.clear()
        for descriptor in ready:
            if descriptor in self._readers:
                self._read(descriptor)
        if (code := self._process.poll()) is None:
            return None
        for descriptor in list(self._readers):
            while self._read(descriptor):
                pass
        return code

    def close(self) -> None:
        """Let go of it. It must be gone."""
        for descriptor in [*self._readers, self._pidfd]:
            os.close(descriptor)
        self._selector.close()

    def _read(self, descriptor: int) -> bool:
        """Take in a part; False if there is none now."""
        try:
            part = os.read(descriptor, 65536)
        except BlockingIOError:
            return False
        if part:
            self._readers[descriptor](part)
            return True
        with suppress(KeyError):  # the other end is closed, which would be readable for ever
            self._selector.unregister(descriptor)
        return False

    def _take_events(self, part: bytes) -> None:
        *lines, self._lines = (self._lines + part).split(b"\n")
        for line in lines:
            with suppress(ValueError):
                self._event(json.loads(line))

    def _take_output(self, part: bytes) -> None:
        if self._output is not None:
            self._output(part.decode("utf-8", "replace"))


def _widen(pipe: int) -> None:
    import fcntl

    with suppress(OSError):  # an administrator's limit
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE_BYTES)
