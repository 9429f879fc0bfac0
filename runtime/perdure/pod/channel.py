"""Messages between the supervisor and its child: a page of shared memory, and a pipe each way that only wakes.

The page holds the state, the pipes signal a change of it. So neither side can block the other, no message is lost,
progress wakes no process, and the child's last state outlives it. Neither side waits for the end of a pipe: a
grandchild may hold it open for ever.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from enum import IntFlag
from uuid import UUID

from ..names import Token

__all__ = ["Channel", "ChildChannel", "Progress", "Request", "SupervisorChannel", "WakePipe"]


class Request(IntFlag):
    """Requests of the supervisor to the child's engine. A request is never taken back."""

    NONE = 0

    CANCEL = 1
    """Cancel the run."""

    SUSPEND = 2
    """Finish the step in flight and leave the run suspended."""

    CANCEL_AT_ONCE = 8
    """Cancel the run, which may not clean up."""

    DRAIN = 4
    """Finish the step in flight and release the run: the process got a signal to stop."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the run is, for people to see."""

    steps_done: int = 0
    current_step: str | None = None


class WakePipe:
    """A pipe whose only message is that there is something to look at. Neither end ever blocks its writer."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        self._inode = os.fstat(self._writing).st_ino

    @property
    def writing_fd(self) -> int:
        """The end that wakes, for `signal.set_wakeup_fd`."""
        return self._writing

    def fileno(self) -> int:
        """The end that becomes readable on `wake`."""
        return self._reading

    def wake(self) -> None:
        """Make the other end readable."""
        # A full pipe wakes as well. User code may have closed it, with all descriptors that it did not open, and may
        # have a file of its own at that number by now.
        with suppress(OSError):
            if os.fstat(self._writing).st_ino == self._inode:
                os.write(self._writing, b"!")

    def clear(self) -> None:
        """Take out what `wake` put in: look at the state after this, not before."""
        with suppress(BlockingIOError):
            while len(os.read(self._reading, 4096)) == 4096:
                pass

    def wait(self, timeout: float | None) -> None:
        """Wait for `wake`, at most `timeout` seconds, and clear."""
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        poll.poll(None if timeout is None else max(0, timeout) * 1000)
        self.clear()

    def close_reading(self) -> None:
        """Leave that end to the other process."""
        os.close(self._reading)

    def close_writing(self) -> None:
        """Leave that end to the other process."""
        os.close(self._writing)


class _Page:
    """The shared memory. Each field has one writing side; bytes are written whole, progress carries its checksum."""

    _BEGUN, _FINISHING, _ENDED, _REQUESTS, _PROGRESS = 0, 1, 2, 3, 8
    _CHECKSUM = struct.Struct("<I")
    _HEAD = struct.Struct("<QHB")
    _LONGEST_NAME = 1024
    _TOKEN = slice(2048, 2064)

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self.progress = Progress()

    def _flag(self, place: int) -> bool:
        return self._memory[place] != 0

    @property
    def begun(self) -> bool:
        return self._flag(self._BEGUN)

    def set_begun(self, token: Token) -> None:
        # Before the flag, by which the other side knows that it is there.
        self._memory[self._TOKEN] = token.bytes
        self._memory[self._BEGUN] = 1

    @property
    def token(self) -> Token:
        return Token(UUID(bytes=self._memory[self._TOKEN]))

    @property
    def finishing(self) -> bool:
        return self._flag(self._FINISHING)

    def set_finishing(self) -> None:
        self._memory[self._FINISHING] = 1

    @property
    def ended(self) -> int | None:
        value = self._memory[self._ENDED]
        return value - 1 if value else None

    @ended.setter
    def ended(self, code: int) -> None:
        self._memory[self._ENDED] = code + 1

    @property
    def requests(self) -> int:
        return self._memory[self._REQUESTS]

    @requests.setter
    def requests(self, requests: int) -> None:
        self._memory[self._REQUESTS] = requests

    @property
    def progress(self) -> Progress | None:
        """The progress, or None while it is being written (or for ever, where its writer died in the middle of it)."""
        start = self._PROGRESS + self._CHECKSUM.size
        steps_done, length, named = self._HEAD.unpack_from(self._memory, start)
        end = start + self._HEAD.size + min(length, self._LONGEST_NAME)
        body = self._memory[start:end]
        if self._CHECKSUM.unpack_from(self._memory, self._PROGRESS)[0] != zlib.crc32(body):
            return None
        name = body[self._HEAD.size :].decode(errors="ignore")
        return Progress(steps_done, name if named else None)

    @progress.setter
    def progress(self, progress: Progress) -> None:
        step = progress.current_step
        name = b"" if step is None else step.encode(errors="replace")[: self._LONGEST_NAME]
        body = self._HEAD.pack(progress.steps_done, len(name), step is not None) + name
        record = self._CHECKSUM.pack(zlib.crc32(body)) + body
        self._memory[self._PROGRESS : self._PROGRESS + len(record)] = record


class ChildChannel:
    """The child's side, for its engine.

    Only the process that was given it may speak: in a process that user code forks from it every call does nothing, so
    that a copy of the engine cannot speak for the attempt.
    """

    def __init__(self, page: _Page, to_supervisor: WakePipe, to_child: WakePipe) -> None:
        self._pid = os.getpid()
        self._page = page
        self._to_supervisor = to_supervisor
        self._to_child = to_child

    def begun(self, token: Token) -> None:
        """The attempt has begun, and has this token: from here on the supervisor keeps it alive in the store."""
        if os.getpid() == self._pid:
            self._page.set_begun(token)
            self._to_supervisor.wake()

    def progress(self, steps_done: int, current_step: str | None) -> None:
        """Report the run's progress; the next heartbeat carries it. About a microsecond, no system call but getpid."""
        if os.getpid() == self._pid:
            self._page.progress = Progress(steps_done, current_step)

    def finishing(self) -> None:
        """Report that the statement that ends the attempt is about to be sent.

        Once it is committed the store knows this claim no more, and a heartbeat would take that for superseded. After
        this report the supervisor leaves the child time to report `ended`.
        """
        if os.getpid() == self._pid:
            self._page.set_finishing()

    def ended(self, code: int) -> None:
        """Report that the attempt has ended in order and is recorded: the process's exit code is `code`.

        The process may still crash on its way out, but `code` counts; without this report no exit code counts. The
        process is to leave within seconds.
        """
        if not 0 <= code <= 254:
            raise ValueError(f"no exit code: {code}")
        if os.getpid() == self._pid:
            self._page.ended = code
            self._to_supervisor.wake()

    @property
    def requests(self) -> Request:
        """All requests so far; cheap enough to read before each step."""
        return Request(self._page.requests) if os.getpid() == self._pid else Request.NONE

    def fileno(self) -> int:
        """Readable when there is a new request, for `loop.add_reader(channel, ...)`; call `clear` in the callback."""
        return self._to_child.fileno()

    def clear(self) -> None:
        """Make `fileno` wait for the next request; look at `requests` after this."""
        if os.getpid() == self._pid:
            self._to_child.clear()

    def wait(self, timeout: float | None = None) -> Request:
        """Block until a new request, at most `timeout` seconds; returns all. For a thread that listens."""
        if os.getpid() == self._pid:
            self._to_child.wait(timeout)
        return self.requests


class SupervisorChannel:
    """The supervisor's side."""

    def __init__(self, page: _Page, to_child: WakePipe) -> None:
        self._page = page
        self._to_child = to_child
        self._progress = Progress()

    @property
    def begun(self) -> bool:
        """Whether the attempt has begun."""
        return self._page.begun

    @property
    def token(self) -> Token | None:
        """With what to speak for the attempt to the store; None before it has begun."""
        return self._page.token if self._page.begun else None

    @property
    def finishing(self) -> bool:
        """Whether the statement that ends the attempt may have been sent."""
        return self._page.finishing

    @property
    def ended(self) -> int | None:
        """The exit code of an attempt that ended in order."""
        return self._page.ended

    def progress(self) -> Progress:
        """The child's progress; the last one that was readable, if it is just being written."""
        end = time.monotonic() + 0.001
        while (progress := self._page.progress) is None and time.monotonic() < end:
            time.sleep(0)
        self._progress = progress or self._progress
        return self._progress

    def request(self, request: Request) -> None:
        """Send the child a request; a repeated request does nothing."""
        if request & ~self._page.requests:
            self._page.requests |= request
            self._to_child.wake()


class Channel:
    """A channel before the fork: each process takes its side after it."""

    def __init__(self, to_supervisor: WakePipe) -> None:
        self._page = _Page()
        self._to_supervisor = to_supervisor
        self._to_child = WakePipe()

    def child_side(self) -> ChildChannel:
        """Take the child's side, in the child."""
        self._to_supervisor.close_reading()
        self._to_child.close_writing()
        return ChildChannel(self._page, self._to_supervisor, self._to_child)

    def supervisor_side(self) -> SupervisorChannel:
        """Take the supervisor's side, in the supervisor."""
        self._to_child.close_reading()
        return SupervisorChannel(self._page, self._to_child)
