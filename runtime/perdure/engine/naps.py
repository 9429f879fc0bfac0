"""How a branch's thread waits: it is at rest meanwhile, and what ends the wait comes in the run's order.

A wait that has a time is on the run's clock, so after a crash it ends as it ended before.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ControlSignal
from .branch import Branch
from .context import CURRENT
from .pool_future import PoolFuture

if TYPE_CHECKING:
    from .timers import Alarm

__all__ = ["BranchFuture", "Nap", "RunTime", "branch_of_thread"]

T = TypeVar("T")


def branch_of_thread() -> Branch | None:
    """The branch whose thread this is; None outside of runs, in steps and in tasks."""
    current = CURRENT.get()
    if not isinstance(current, Branch) or current.task is not None or current.thread != threading.get_ident():
        return None
    return current


class Nap:
    """One wait of a branch's thread. Who wakes it counts it as running from then on."""

    __slots__ = ("_alarm", "_branch", "_gate", "_over")

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._gate = Lock()
        self._gate.acquire()
        self._over = False
        self._alarm: Alarm | None = None

    def rest(self, seconds: float | None) -> None:
        """Wait until it is woken, or for so many seconds of the run's clock.

        Raises:
            RunCancelled: the run's cancellation strikes here.
        """
        cancellation = self._branch.attempt.cancellation
        if cancellation is None or self._branch.path:
            self._rest(seconds)
            return
        cancellation.raise_if_due()
        with cancellation.waiting(self._branch, self.wake):
            self._rest(seconds)
        cancellation.raise_if_due()

    def _rest(self, seconds: float | None) -> None:
        scheduler = self._branch.attempt.scheduler
        with scheduler.lock:
            if not self._over:
                if scheduler.closed:
                    self._over = True
                    return
                scheduler.naps[self] = None
                if seconds is not None:
                    self._alarm = scheduler.add_alarm(seconds, self._branch, self.wake)
                scheduler.running.discard(self._branch)
        scheduler.pump_soon()
        alarm = self._alarm
        while not self._gate.acquire(timeout=-1 if alarm is None else scheduler.alarm_in(alarm)):
            scheduler.pump()

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
            # Who sets it sets it first, and looks for sleepers then.
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
    """The list in which `concurrent.futures` notes who waits for a future."""

    def append(self, waiter: Any) -> None:
        if not isinstance(waiter.event, _NapEvent):
            waiter.event = _NapEvent()
        super().append(waiter)


class BranchFuture(PoolFuture[T]):
    """A future of a branch. Its hash is its number, so that sets of futures have the same order on replay."""

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
        """Wait in the run's order; how long there is still to wait then."""
        branch = branch_of_thread()
        if branch is None or branch.attempt is not self._branch.attempt:
            return timeout
        scheduler = branch.attempt.scheduler
        nap = Nap(branch)
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
        """Tell those who wait; they count as running from here on."""
        with suppress(ControlSignal):  # of a done callback, which may be told that the attempt ends
            super().deliver(result, error)
        self._tell_sleepers()

    def _tell_sleepers(self) -> None:
        for nap in list(self._sleepers):
            nap.wake()


class RunTime:
    """The module `time` as `concurrent.futures` is to see it: in a branch's thread it is the run's clock that counts.

    `as_completed` and `map` compute with it how long they may still wait.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    def monotonic(self) -> float:
        """Seconds."""
        branch = branch_of_thread()
        return time.monotonic() if branch is None else branch.attempt.scheduler.now
