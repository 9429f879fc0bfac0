"""The work queue: calls `work(key)` for each added key, at most once at a time for each, and again if it failed.

The queue never loses a key: if `work` raises any exception, the key is due again after a delay. The delay doubles with
each failure and starts anew after a success.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, Protocol, TypeVar

from perdure.errors import PerdureError
from perdure.pauses import Pauses

from .schedule import Schedule

__all__ = ["Meter", "WorkQueue"]

_log = logging.getLogger("perdure.operator.queue")

K = TypeVar("K", bound=Hashable)

_PAUSES = Pauses(0.1, 30.0, jitter=0.25)

_HURRIED = 500.0
"""How many failed keys are retried in a second after an outage."""

_LONGEST_HURRY = 5.0


class Meter(Protocol):
    """Measures the queue."""

    def added(self) -> None:
        """A key was added that was not due already."""

    def taken(self, waited: float) -> None:
        """Work on a key begins, so many seconds after it was due."""

    def worked(self, seconds: float, error: str | None) -> None:
        """Work on a key has ended, with the name of its exception."""


class _LogLimit:
    """Keeps an outage, in which every key fails, from filling the log: one line for each kind of error in `every` s."""

    def __init__(self, every: float = 5.0) -> None:
        self._every = every
        self._kinds: dict[type[Exception], tuple[float, int]] = {}

    def ask(self, kind: type[Exception], now: float) -> int | None:
        """How many errors of this kind were left out since the last line; None if this one is left out, too."""
        logged_at, left_out = self._kinds.get(kind, (now - self._every, 0))
        if now < logged_at + self._every:
            self._kinds[kind] = logged_at, left_out + 1
            return None
        self._kinds[kind] = now, 0
        return left_out


class WorkQueue(Generic[K]):
    """Takes keys at any time, and works on them while `run` runs."""

    def __init__(
        self, work: Callable[[K], Awaitable[None]], *, workers: int, meter: Meter, pauses: Pauses | None = None
    ) -> None:
        self._work = work
        self._workers = workers
        self._meter = meter
        self._pauses = pauses or _PAUSES
        self._schedule: Schedule[K] = Schedule()
        self._failures: dict[K, int] = {}
        self._idle: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._stopping = False
        self._log_limit = _LogLimit()

    def add(self, key: K) -> None:
        """Make a key due now."""
        if self._schedule.add(key, _now()):
            self._meter.added()
            self._wake()

    def add_after(self, key: K, delay: float) -> None:
        """Make a key due in `delay` seconds, unless it is due earlier."""
        if delay <= 0:
            self.add(key)
            return
        self._schedule.add_at(key, _now() + delay)
        self._set_timer()

    def hurry(self) -> None:
        """Retry the failed keys soon, since their outage is over; spread them over some seconds."""
        within = min(_LONGEST_HURRY, len(self._failures) / _HURRIED)
        for key in self._failures:
            self.add_after(key, random.uniform(0.0, within))

    async def run(self) -> None:
        """Work until `stop` is called and running work has ended."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._run_one(), name=f"worker {number}")

    def stop(self) -> None:
        """Start no more work."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        while self._idle:
            self._wake()

    @property
    def depth(self) -> int:
        """How many keys are due."""
        return self._schedule.depth

    @property
    def planned(self) -> int:
        """How many are to come later."""
        return self._schedule.planned

    @property
    def failing(self) -> int:
        """How many failed when they were last worked on."""
        return len(self._failures)

    @property
    def longest_running(self) -> float:
        """Seconds since the work that lasts longest began."""
        return max((_now() - began for began in self._schedule.running.values()), default=0.0)

    async def _run_one(self) -> None:
        while not self._stopping:
            taken = self._schedule.take(_now())
            if taken is None:
                await self._until_due()
                continue
            if self._schedule.depth:
                self._wake()  # several can have come due at one alarm
            key, waited = taken
            self._meter.taken(waited)
            try:
                await self._work_on(key)
            finally:
                self._schedule.done(key)

    async def _work_on(self, key: K) -> None:
        began = _now()
        failed: str | None = None
        try:
            await self._work(key)
        except Exception as error:  # noqa: BLE001 after any error the key is retried, and the others go on
            failed = type(error).__name__
            self._again(key, error)
        else:
            self._failures.pop(key, None)
        finally:
            self._meter.worked(_now() - began, failed)

    def _again(self, key: K, error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay, retry_after = self._pauses.after(failures), getattr(error, "retry_after", 0.0)
        if retry_after >= delay:
            delay = retry_after
            # The server has set a time for the next request. Events about the key must not bring one before that time.
            self._schedule.hold(key, _now() + delay)
        self.add_after(key, delay)
        details = {"failures": failures, "retry_in": round(delay, 3)}
        if not isinstance(error, PerdureError):
            _log.error("%s will be tried again: %s", key, error, extra=details, exc_info=error)
        elif (left_out := self._log_limit.ask(type(error), _now())) is not None:
            details |= {"unsaid": left_out} if left_out else {}
            _log.warning("%s will be tried again: %s", key, error, extra=details)

    async def _until_due(self) -> None:
        """Wait until a key may be due."""
        self._set_timer()
        waiting = asyncio.get_running_loop().create_future()
        self._idle.append(waiting)
        try:
            await waiting
        finally:
            if not waiting.done() or waiting.cancelled():
                self._idle = [other for other in self._idle if other is not waiting]

    def _wake(self) -> None:
        while self._idle:
            waiting = self._idle.pop()
            if not waiting.done():
                waiting.set_result(None)
                return

    def _set_timer(self) -> None:
        at = self._schedule.next_at()
        if self._timer is not None:
            if self._timer.when() == at:
                return
            self._timer.cancel()
            self._timer = None
        if at is not None and not self._stopping:
            self._timer = asyncio.get_running_loop().call_at(at, self._alarm)

    def _alarm(self) -> None:
        self._timer = None
        self._wake()


def _now() -> float:
    return asyncio.get_running_loop().time()
