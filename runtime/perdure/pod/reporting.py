"""What a supervisor tells the store, and the thread in which it does so.

A store that is slow or away holds up this thread alone: the supervisor goes on watching its child. The thread decides
nothing; it makes the calls that it is given, one after the other, and wakes the supervisor when one is answered.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol, TypeVar

from ..owned_thread import OwnedThread
from .channel import Progress

__all__ = ["Death", "Reporter", "ReportingThread", "Verdict"]

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the store answers to a heartbeat."""

    superseded: bool = False
    """Another attempt owns the run."""

    cancel: bool = False
    """Somebody asked for the run to be cancelled."""

    suspend: bool = False
    """Somebody asked for the run to be suspended."""

    at_once: bool = False
    """It is cancelled without time to clean up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """How a process ended that left no outcome: with an exit code or by a signal."""

    exit_code: int | None = None
    signal: int | None = None
    dumped_core: bool = False
    out_of_memory: bool | None = False
    """Whether the kernel counted an out-of-memory kill meanwhile; None where it does not tell."""

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
        """Say that the attempt lives."""

    def report_death(self, death: Death, /) -> None:
        """End the attempt, whose process crashed; all its descendants are gone."""

    def hand_back(self, reason: str, /) -> None:
        """End the attempt, whose process was told to stop; all its descendants are gone."""

    def close(self) -> None:
        """Give up the connection."""


class ReportingThread:
    """Makes calls to a reporter, which is made for the first of them.

    Args:
        make: connects to the store; called in the thread, again until it does not raise.
        answered: called in the thread after each call.
    """

    def __init__(self, make: Callable[[], Reporter], answered: Callable[[], None]) -> None:
        self._make = make
        self._answered = answered
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._reporter: Reporter | None = None
        self._thread = self._started()

    def _started(self) -> OwnedThread:
        return OwnedThread(self._run, name="perdure-reports", died=self._go_on).start()

    def _go_on(self, _error: BaseException) -> None:
        """Make the calls that are left in another thread: without any, the store would take this process for dead."""
        self._thread = self._started()
        # The call in which it died has its answer in its future.
        self._answered()

    def submit(self, call: Callable[[Reporter], Answer]) -> Future[Answer]:
        """Queue a call; what it returns or raises is in the future."""
        future: Future[Answer] = Future()

        def make_call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                if self._reporter is None:
                    self._reporter = self._make()
                answer = call(self._reporter)
            except BaseException as error:  # noqa: BLE001 the supervisor judges it
                future.set_exception(error)
            else:
                future.set_result(answer)
            self._answered()

        self._calls.put(make_call)
        return future

    def close(self, timeout: float) -> None:
        """Give up the connection, unless a call in flight takes longer than `timeout` seconds."""
        self._calls.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        while call := self._calls.get():
            call()
        if self._reporter is not None:
            self._reporter.close()
