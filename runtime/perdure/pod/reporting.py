"""A supervisor's reports to the store, and the thread that sends them.

A store that is slow or away holds up this thread alone: the supervisor goes on watching its child. The thread decides
nothing; it makes the calls that it is given, one after the other, and wakes the supervisor when one is answered.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

from ..errors import StoreUnavailable
from ..owned_thread import OwnedThread
from .channel import Progress

__all__ = ["Death", "Reporter", "ReportingThread", "Verdict"]

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The store's answer to a heartbeat."""

    superseded: bool = False
    """Another attempt owns the run."""

    cancel: bool = False
    """The run's cancellation was requested."""

    suspend: bool = False
    """The run's suspension was requested."""

    at_once: bool = False
    """It is cancelled without time to clean up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a process ended that left no outcome: with an exit code or by a signal."""

    exit_code: int | None = None
    signal: int | None = None
    dumped_core: bool = False
    out_of_memory: bool | None = False
    """Whether the kernel counted an out-of-memory kill meanwhile; None where the kernel has no count."""

    def __str__(self) -> str:
        if self.signal is None:
            return f"exited with code {self.exit_code} and left no outcome"
        name = f"signal {self.signal}"
        with suppress(ValueError):
            name = signal.Signals(self.signal).name
        if self.out_of_memory is None and self.signal == signal.SIGKILL:
            return f"killed by {name}: it was out of memory, or somebody killed it"
        return f"killed by {name}" + (", probably out of memory" if self.out_of_memory else "")


class Reporter(Protocol):
    """The store, as a supervisor needs it. Every call is made in one thread, and has its own limit of time.

    Each may raise `StoreUnavailable`, and is then tried again: the calls are idempotent by the claim token.
    """

    def heartbeat(self, progress: Progress, /) -> Verdict:
        """Report that the attempt lives."""

    def report_death(self, death: Death, /) -> None:
        """End the attempt, whose process crashed; all its descendants are gone."""

    def release_run(self, reason: str, /) -> None:
        """End the attempt, whose process got a signal to stop; all its descendants are gone."""

    def close(self) -> None:
        """Give up the connection."""


class _Call(Generic[Answer]):
    """A call to a reporter, and its result."""

    def __init__(self, call: Callable[[Reporter], Answer]) -> None:
        self._call = call
        self.future: Future[Answer] = Future()

    def make(self, reporter: Callable[[], Reporter]) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            answer = self._call(reporter())
        except BaseException as error:  # noqa: BLE001 the supervisor judges it
            self.future.set_exception(error)
        else:
            self.future.set_result(answer)


class ReportingThread:
    """Makes calls to a reporter, which is made for the first of them. Each call has an answer, even if the thread dies.

    Args:
        make: connects to the store; called in the thread, again until it does not raise.
        answered: called in the thread after each call.
    """

    def __init__(self, make: Callable[[], Reporter], answered: Callable[[], None]) -> None:
        self._make = make
        self._answered = answered
        self._calls: deque[_Call[Any] | None] = deque()
        """The first one stays until it is answered; None is the end."""
        self._told: SimpleQueue[None] = SimpleQueue()
        self._reporter: Reporter | None = None
        self._thread = self._started()

    def _started(self) -> OwnedThread:
        return OwnedThread(self._run, name="perdure-reports", died=self._go_on).start()

    def _go_on(self, error: BaseException) -> None:
        """Make the calls that are left in another thread: without any, the store would take this process for dead."""
        if self._calls and (call := self._calls[0]) is not None:
            if not call.future.done():
                # The waiting caller makes the call again: each is idempotent.
                call.future.set_exception(StoreUnavailable(f"the thread that reports died: {error!r}"))
            self._calls.popleft()
        self._thread = self._started()
        self._told.put(None)
        self._answered()

    def submit(self, call: Callable[[Reporter], Answer]) -> Future[Answer]:
        """Queue a call; its result or error is in the future."""
        queued = _Call(call)
        self._tell(queued)
        return queued.future

    def close(self, timeout: float) -> None:
        """Give up the connection, unless a call in flight takes longer than `timeout` seconds."""
        self._tell(None)
        self._thread.join(timeout)

    def _tell(self, call: _Call[Any] | None) -> None:
        self._calls.append(call)
        self._told.put(None)

    def _run(self) -> None:
        while True:
            while self._calls:
                call = self._calls[0]
                if call is None:
                    self._calls.popleft()
                    if self._reporter is not None:
                        self._reporter.close()
                    return
                call.make(self._connected)
                self._calls.popleft()
                self._answered()
            self._told.get()

    def _connected(self) -> Reporter:
        if self._reporter is None:
            self._reporter = self._make()
        return self._reporter
