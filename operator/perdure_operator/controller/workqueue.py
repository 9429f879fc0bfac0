"""The work queue: runs `work(key)` for each key that was added, each at most once at a time, and again if it failed.

It never loses a key: whatever `work` raises, the key comes again, after a delay that doubles and starts anew once it
succeeds.
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
"""Keys a second that come again at once after an outage."""

_LONGEST_HURRY = 5.0


class Meter(Protocol):
    """Who measures the queue."""

    def added(self) -> None:
        """A key was added that was not due already."""

    def taken(self, waited: float) -> None:
        """Work on a key begins, so many seconds after it was due."""

    def worked(self, seconds: float, error: str | None) -> None:
        """It has ended, with the name of what it raised."""


class _Unsaid:
    """Keeps an outage, of which every key could tell, from filling the log: of each kind one in so many seconds."""

    def __init__(self, every: float = 5.0) -> None:
        self._every = every
        self._kinds: dict[type[Exception], tuple[float, int]] = {}

    def ask(self, kind: type[Exception], now: float) -> int | None:
        """How many of this kind were not told since the last that was; None if this one is not to be told either."""
        said_at, unsaid = self._kinds.get(kind, (now - self._every, 0))
        if now < said_at + self._every:
            self._kinds[kind] = said_at, unsaid + 1
            return None
        self._kinds[kind] = now, 0
        return unsaid


class WorkQueue(Generic[K]):
    """Add keys at any time; they are worked on while `run` runs."""

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
        self._unsaid = _Unsaid()

    def add(self, key: K) -> None:
        """Have a key worked on as soon as a worker is free."""
        if self._schedule.add(key, _now()):
            self._meter.added()
            self._wake()

    def add_after(self, key: K, delay: float) -> None:
        """Have a key worked on in so many seconds, unless it is before."""
        if delay <= 0:
            self.add(key)
            return
        self._schedule.add_at(key, _now() + delay)
        self._set_timer()

    def hurry(self) -> None:
        """What they failed for is over: have the keys come again that failed, not all at the same moment."""
        within = min(_LONGEST_HURRY, len(self._failures) / _HURRIED)
        for key in self._failures:
            self.add_after(key, random.uniform(0.0, within))

    async def run(self) -> None:
        """Work until `stop`, and then until what has begun has ended."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._run_one(), name=f"worker {number}")

    def stop(self) -> None:
        """Begin nothing more."""
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
                await self._something()
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
        except Exception as error:  # noqa: BLE001 whatever it was, the key comes again, and the others go on
            failed = type(error).__name__
            self._again(key, error)
        else:
            self._failures.pop(key, None)
        finally:
            self._meter.worked(_now() - began, failed)

    def _again(self, key: K, error: Exception) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay, told = self._pauses.after(failures), getattr(error, "retry_after", 0.0)
        if told >= delay:
            delay = told
            # What is heard about a key is no reason to ask a busy server for more before it wants to be asked.
            self._schedule.hold(key, _now() + delay)
        self.add_after(key, delay)
        details = {"failures": failures, "retry_in": round(delay, 3)}
        if not isinstance(error, PerdureError):
            _log.error("%s will be tried again: %s", key, error, extra=details, exc_info=error)
        elif (unsaid := self._unsaid.ask(type(error), _now())) is not None:
            details |= {"unsaid": unsaid} if unsaid else {}
            _log.warning("%s will be tried again: %s", key, error, extra=details)

    async def _something(self) -> None:
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
