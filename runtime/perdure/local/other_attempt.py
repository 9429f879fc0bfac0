"""The attempt of another command, on this or another machine: whether it works, is about to begin, or is dead."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum

from ..names import Claim
from ..process.identity import is_gone
from ..process.liveness import Death, ProcessFailureDetector
from ..store.runs.claim_one import Standing
from ..store.workers.processes import Watched

__all__ = ["Dead", "OtherAttempt", "Unbegun", "Works"]


@dataclass(frozen=True, slots=True)
class Works:
    """Its process has begun, and is not known to be dead."""

    process: Watched


@dataclass(frozen=True, slots=True)
class Dead:
    """Its process has begun, and is dead."""

    process: Watched
    death: Death


class Unbegun(StrEnum):
    """Its process has not begun."""

    AWAITED = "it is about to begin in another process"
    CLAIMER_GONE = "the command that claimed it died before its process began"
    NEVER_BEGAN = "claimed, but its process never began"


@dataclass(frozen=True, slots=True)
class _Since:
    claim: Claim = field(repr=False)
    when: float


class OtherAttempt:
    """Watches the attempt of another command.

    Args:
        lease: seconds without a heartbeat after which the attempt counts as dead, or as never begun.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._observer = ProcessFailureDetector(lease, lease / 2, is_gone)
        self._unbegun: _Since | None = None

    def failed(self) -> None:
        """Note that the store did not respond: earlier observations do not count any more."""
        self._observer.failed()
        self._unbegun = None

    def look(self, standing: Standing, claim: Claim, asked: float) -> Works | Dead | Unbegun:
        """The state of the attempt that has the run.

        Args:
            standing: of the run, as the store has just answered.
            claim: the attempt's.
            asked: when the store was asked, on the monotonic clock.
        """
        process = standing.process
        if not standing.begun or process is None:
            return self._look_unbegun(standing, claim)
        deaths = self._observer.read(asked, time.monotonic(), [process])
        return Dead(process, deaths[0]) if deaths else Works(process)

    def _look_unbegun(self, standing: Standing, claim: Claim) -> Unbegun:
        claimer = standing.claimer
        if claimer is not None and is_gone(claimer.host, claimer.pid, claimer.pid_started):
            return Unbegun.CLAIMER_GONE
        now = time.monotonic()
        if self._unbegun is None or self._unbegun.claim != claim:
            self._unbegun = _Since(claim, now)
        return Unbegun.NEVER_BEGAN if now - self._unbegun.when >= self._lease else Unbegun.AWAITED
