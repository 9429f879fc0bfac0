"""Runs that a worker has yet to claim: which wait out a delay, and whether one is suspect. Pure.

A delay is waited for on this process's own monotonic clock, from when the run was first seen, or by the server's clock
if that comes first: a server's clock that is set back holds no run for longer than its delay.

A run that crashed twice in a row without a new checkpoint is suspect: it may kill its processes. It shares one only
with runs that have checkpointed in their present attempt: if it kills them, their own count of crashes begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..names import RunId
from ..store.workers.claims import Delayed, Survey

__all__ = ["SUSPECT_CRASHES", "Kind", "PendingRuns"]

SUSPECT_CRASHES = 2


class Kind(StrEnum):
    """Kinds of runs, each with slots of its own."""

    ASYNC = "async"
    SYNC = "sync"
    SUSPECT = "suspect"


_ORDINARY = frozenset({Kind.ASYNC, Kind.SYNC})


@dataclass(frozen=True, slots=True)
class _Wait:
    delayed: Delayed
    due: float

    def kinds(self) -> frozenset[Kind]:
        """Possible kinds of the run; its workflow's own kind is known once it is claimed."""
        return frozenset({Kind.SUSPECT}) if self.delayed.crashes >= SUSPECT_CRASHES else _ORDINARY


class PendingRuns:
    """The runs of the last survey, and the notifications since. Every `now` on one monotonic clock."""

    def __init__(self) -> None:
        self._waits: dict[RunId, _Wait] = {}
        self._ready: set[Kind] = set()

    def surveyed(self, survey: Survey, now: float) -> None:
        """Take in what there is."""
        waits: dict[RunId, _Wait] = {}
        for one in survey.delayed:
            due = now + max(0.0, min(one.delay, one.due_in))
            before = self._waits.get(one.run)
            if before is not None and before.delayed.attempt == one.attempt:
                due = min(due, before.due)
            waits[one.run] = _Wait(one, due)
        self._waits = waits
        self._ready = set(_ORDINARY) if survey.ready else set()
        if survey.suspect:
            self._ready.add(Kind.SUSPECT)

    def heard(self) -> None:
        """There is new work, of a kind that is not known yet."""
        self._ready |= _ORDINARY

    def due(self, now: float) -> list[RunId]:
        """Runs whose delay is over by this clock, not by the server's."""
        return [run for run, wait in self._waits.items() if wait.due <= now]

    def next_due(self, now: float) -> float | None:
        """When the next delay is over."""
        return min((wait.due for wait in self._waits.values() if wait.due > now), default=None)

    def work(self, now: float) -> frozenset[Kind]:
        """The kinds of which there may be runs to claim."""
        return frozenset(self._ready).union(*(wait.kinds() for wait in self._waits.values() if wait.due <= now))

    def claimed(self, run: RunId) -> None:
        """This process has the run now."""
        self._waits.pop(run, None)

    def exhausted(self, kinds: frozenset[Kind], now: float) -> None:
        """A claim found fewer runs of these kinds than slots were free: other workers have those that were due."""
        self._ready -= kinds
        for run, wait in list(self._waits.items()):
            if wait.due <= now and wait.kinds() <= kinds:
                del self._waits[run]
            elif wait.due <= now and wait.kinds() & kinds:
                # It may still be of the other kind.
                self._ready |= wait.kinds() - kinds
                del self._waits[run]
