"""When an attempt's heartbeat is due, and the store's answers to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future

from perdure.errors import StoreUnavailable
from perdure.pauses import Pauses

from .channel import Progress
from .reporting import ReportingThread, Verdict

__all__ = ["PAUSES", "Heartbeat"]

PAUSES = Pauses(0.05, 1.0, jitter=0.1)
"""Between tries at a store that is away."""


class Heartbeat:
    """Beats on a fixed schedule, first one interval after the attempt has begun: beginning was a sign of life.

    One beat at a time is in flight, and however long it takes, the schedule stays as it was. One that fails is tried
    again after a small pause, and the schedule starts anew when one succeeds.

    Args:
        reports: where beats are sent from.
        interval: seconds from beat to beat.
        now: when the attempt began; this and every `now` below on one monotonic clock.
        log: takes a line of text.
    """

    def __init__(self, reports: ReportingThread, interval: float, now: float, log: Callable[[str], None]) -> None:
        self._reports = reports
        self._interval = interval
        self._next = now + interval
        self._log = log
        self._in_flight: Future[Verdict] | None = None
        self._failures = 0

    def beat(self, now: float, progress: Callable[[], Progress]) -> Verdict | None:
        """Start a beat if one is due. Returns the verdict if one has come since."""
        verdict = self._answer(now)
        if self._in_flight is None and now >= self._next:
            shown = progress()
            self._in_flight = self._reports.submit(lambda reporter: reporter.heartbeat(shown))
        return verdict

    def due(self) -> float | None:
        """When to call `beat` next; None if its answer will wake the caller."""
        return self._next if self._in_flight is None else None

    def _answer(self, now: float) -> Verdict | None:
        if self._in_flight is None or not self._in_flight.done():
            return None
        answered, self._in_flight = self._in_flight, None
        if error := answered.exception():
            self._fail(error, now)
            return None
        if self._failures:
            self._log("the store answers again")
            self._failures = 0
        # A beat that was long in coming is not made up for.
        self._next += self._interval * max(1, math.ceil((now - self._next) / self._interval))
        return answered.result()

    def _fail(self, error: BaseException, now: float) -> None:
        self._failures += 1
        if self._failures == 1:
            kind = "" if isinstance(error, StoreUnavailable) else f"{type(error).__name__}: "
            self._log(f"a heartbeat failed, trying again: {kind}{error}")
        self._next = now + PAUSES.after(self._failures)
