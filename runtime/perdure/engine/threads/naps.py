"""The waits of a branch's thread: the branch rests meanwhile, and events in the run's order end the wait.

A wait with a timeout counts on the run's clock, so on replay it ends as it ended before.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from ...errors import ControlSignal
from ..branches.branch import Branch
from ..branches.context import CURRENT
from .pool_future import PoolFuture

if TYPE_CHECKING:
    from ..order.timers import Alarm

__all__ = ["BranchFuture", "Nap", "RunTime", "branch_of_thread"]

T = TypeVar("T")


def branch_of_thread() -> Branch | None:
    """The branch whose own thread calls this; None outside of runs, in steps and in tasks."""
    current = CURRENT.get()
    if not isinstance(current, Branch) or current.task is not None or current.thread != threading.get_ident():
        return None
    return current


class Nap:
    """One wait of a branch's thread. `wake` counts the branch as running, before its thread goes on."""

    __slots__ = ("_alarm", "_branch", "_gate", "_over")

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._gate = Lock()
        self._gate.acquire()
        self._over = False
        self._alarm: Alarm | None = None

    def rest(self, seconds: float | None) -> None:
        """Wait until `wake` is called, or for `seconds` of the run's clock (None: without a limit).

        Raises:
            RunCancelled: the run's cancellation strikes here.
        """
        cancellation = self._branch.attempt.cancellation
        if cancellation is None or self._branch.path:
            # A cancellation strikes the main branch alone.
            self._rest(seconds)
            return
        cancellation.raise_if_due()
        with cancellation.waiting(self._branch, self.wake):
            self._rest(seconds)
        cancellation.raise_if_due()

    def _rest(self, seconds: float | None) -> None:
        scheduler = self._branch.attempt.scheduler
        with scheduler.lock:
            # If `wake` came first, the branch counts as running already, and the gate is open.
            if not self._over:
                if scheduler.closed:
                    # The attempt ended, and woke its waits, before this one was among them.
                    self._over = True
                    return
                scheduler.naps[self] = None
                if seconds is not None:
                    self._alarm = scheduler.add_alarm(seconds, self._branch, self.wake)
                scheduler.running.discard(self._branch)
        scheduler.pump_soon()
        self._branch.attempt.end_if_drained()
        alarm = self._alarm
        # In a run without a loop, the alarm rings only if a thread pumps once it is due.
        while not self._gate.acquire(timeout=-1 if alarm is None else scheduler.alarm_in(alarm)):
            scheduler.pump()
            self._branch.attempt.end_if_drained()

    def wake(self) -> None:
        """End the wait, from any thread."""
        scheduler = self._branch.attempt.scheduler
        with scheduler.lock:
            if self._over:
                return
            self._over = True
            scheduler.naps.pop(self, None)
            if self._alarm is not None:
                self._alarm.cancel()
            # Not left to the thread itself: the run would seem to rest until the system wakes the thread.
            scheduler.running.add(self._branch)
        self._gate.release()


class _NapEvent(threading.Event):
    """The event for which `concurrent.futures.wait` and `as_completed` wait."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[Nap] = []

    def wait(self, timeout: float | None = None) -> bool:
        branch = branch_of_thread()
        if branch is None:
            return super().wait(timeout)
        if not self.is_set():
            nap = Nap(branch)
            self._sleepers.append(nap)
            # `set` sets the event and then wakes the naps in the list. It misses a nap that comes later, but then the
            # test below finds the event set.
            try:
                if not self.is_set():
                    nap.rest(timeout)
            finally:
                with suppress(ValueError):
                    self._sleepers.remove(nap)
                branch.attempt.check()
        return self.is_set()

    def set(self) -> None:
        super().set()
        for nap in list(self._sleepers):
            nap.wake()


class _Waiters(list[Any]):
    """The list in which `concurrent.futures` keeps a future's waiters; gives each waiter a `_NapEvent`."""

    def append(self, waiter: Any) -> None:
        if not isinstance(waiter.event, _NapEvent):
            waiter.event = _NapEvent()
        super().append(waiter)


class BranchFuture(PoolFuture[T]):
    """The future of a branch in a thread. Its hash is its number, so sets of futures have the same order on replay."""

    def __init__(self, branch: Branch) -> None:
        super().__init__(branch.attempt.scheduler.lock)
        self._waiters = _Waiters()
        self._branch = branch
        self._number = branch.attempt.next_task_number()
        self._sleepers: list[Nap] = []

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other

    def result(self, timeout: float | None = None) -> T:
        return super().result(self._wait(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return super().exception(self._wait(timeout))

    def _wait(self, timeout: float | None) -> float | None:
        """Wait in the run's order, if a branch's thread waits. Returns the timeout for `concurrent.futures` then."""
        branch = branch_of_thread()
        if branch is None or branch.attempt is not self._branch.attempt:
            return timeout
        scheduler = branch.attempt.scheduler
        nap = Nap(branch)
        # The future ends under this lock: it cannot end between the test and the append.
        with scheduler.lock:
            if self.done():
                return 0
            self._sleepers.append(nap)
        try:
            nap.rest(timeout)
        finally:
            with scheduler.lock, suppress(ValueError):
                self._sleepers.remove(nap)
            branch.attempt.check()
        return 0

    def deliver(self, result: T, error: BaseException | None) -> None:
        """End the future. The branches that wait for it count as running from here on."""
        with suppress(ControlSignal):  # raised by a done callback that calls the engine after the attempt's end
            super().deliver(result, error)
        self._tell_sleepers()

    def _tell_sleepers(self) -> None:
        for nap in list(self._sleepers):
            nap.wake()


class RunTime:
    """Replaces the module `time` in `concurrent.futures`: in a branch's thread it reads the run's clock.

    `as_completed` and `map` compute the rest of their timeouts with it.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def monotonic(self) -> float:
        """Seconds on the run's clock in a branch's thread, on the process's clock elsewhere."""
        branch = branch_of_thread()
        return time.monotonic() if branch is None else branch.attempt.scheduler.now
