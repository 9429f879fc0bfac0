"""How many slots of which kind a worker has free now, given the runs that it holds. Pure.

A suspect, which may kill its process, shares it only with runs that have checkpointed, and for a while no other run is
claimed beside it. Both are bounded: others are kept out for no longer than `_HOLD` and `_PROBATION` at a stretch, and
then have the worker for as long as that before a suspect keeps them out again; and a suspect for which the worker does
not become free starts all the same once it has waited for `_PATIENCE`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet

from ..definitions import WorkflowDefinition
from ..names import Claim
from ..store.workers.claims import ClaimedRun, FreeSlots
from .executor import Running
from .pending import SUSPECT_CRASHES, Kind

__all__ = ["Slots", "is_suspect"]

_AT_ONCE = 256
"""Runs in one claim: the first of them run while the next ones are claimed."""

_PROBATION = 10.0
"""Seconds for which a suspect that has not checkpointed is left alone; a longer step must not keep others out."""

_HOLD = 10.0
"""Seconds for which no other run is claimed, so that all that run here may checkpoint before a suspect starts."""

_PATIENCE = 60.0
"""Seconds after which a suspect starts beside runs without a checkpoint, if those have run for `_HOLD` at least."""


def is_suspect(run: ClaimedRun) -> bool:
    """Whether it may be this run that kills its processes."""
    return run.crashes >= SUSPECT_CRASHES


class Slots:
    """The slots of a worker. Every `now` on one monotonic clock.

    Args:
        definitions: the workflows that it knows, by entrypoint.
        concurrency: async runs at a time.
        threads: sync runs at a time.
    """

    def __init__(self, definitions: Mapping[str, WorkflowDefinition], concurrency: int, threads: int) -> None:
        self._definitions = definitions
        self._concurrency = concurrency if any(d.is_async for d in definitions.values()) else 0
        self._threads = threads if any(not d.is_async for d in definitions.values()) else 0
        self._suspects: dict[Claim, Running] = {}
        self._wanted_since: float | None = None
        """Since when a suspect waits for its turn."""
        self._kept_out_since: float | None = None
        """Since when others have been kept out without a break."""
        self._had_turn = False
        """Whether a suspect has started since then."""
        self._open_until = 0.0
        """Until then no suspect keeps others out."""

    def claimed(self, running: Running) -> None:
        """A run was claimed."""
        if is_suspect(running.run):
            self._suspects[running.run.claim] = running
            self._wanted_since = None
            self._had_turn = True

    def forgotten(self, running: Running) -> None:
        """A run has ended here."""
        self._suspects.pop(running.run.claim, None)

    def free(self, work: AbstractSet[Kind], here: Collection[Running], now: float) -> FreeSlots:
        """How many runs to claim, of the kinds of which there may be some."""
        if self.on_probation(now):
            self._keep_out(now)
            return FreeSlots()
        if Kind.SUSPECT in work:
            self._wanted_since = now if self._wanted_since is None else self._wanted_since
            if (now >= self._open_until and not self._had_turn) or not work - {Kind.SUSPECT}:
                if self._may_start(here, now):
                    self._keep_out(now)
                    return FreeSlots(suspects=1)
                if self._hold(now):
                    return FreeSlots()
        else:
            self._wanted_since = None
        if self._kept_out_since is not None:
            self._open_until = now + (now - self._kept_out_since)
            self._kept_out_since, self._had_turn = None, False
        return self._ordinary(work, here)

    def _ordinary(self, work: Collection[Kind], here: Collection[Running]) -> FreeSlots:
        in_loop = sum(running.definition.is_async for running in here)
        in_threads = len(here) - in_loop
        return FreeSlots(
            async_runs=min(_AT_ONCE, max(0, self._concurrency - in_loop)) if Kind.ASYNC in work else 0,
            sync_runs=min(_AT_ONCE, max(0, self._threads - in_threads)) if Kind.SYNC in work else 0,
        )

    def _may_start(self, here: Collection[Running], now: float) -> bool:
        if all(running.checkpointed for running in here):
            return True
        waited = self._wanted_since is not None and now - self._wanted_since >= _PATIENCE
        return waited and self._kept_out_since is not None and now - self._kept_out_since >= _HOLD

    def _hold(self, now: float) -> bool:
        """Whether to keep others out, so that a suspect gets to be alone."""
        if any(not running.checkpointed and now - running.since < _PATIENCE for running in self._suspects.values()):
            # Another suspect is in a long step: this one would not be alone even if all others were kept out.
            return False
        self._keep_out(now)
        return self._kept_out_since is not None and now - self._kept_out_since < _HOLD

    def _keep_out(self, now: float) -> None:
        if self._kept_out_since is None:
            self._kept_out_since = now

    def on_probation(self, now: float) -> bool:
        """Whether a suspect is to be left alone."""
        return any(not one.checkpointed and now - one.since < _PROBATION for one in self._suspects.values())

    def without_more(self, free: FreeSlots, got: Collection[ClaimedRun]) -> frozenset[Kind]:
        """The kinds of which a claim found fewer runs than slots were free."""
        found = dict.fromkeys(Kind, 0)
        for run in got:
            kind = Kind.ASYNC if self._definitions[run.entrypoint].is_async else Kind.SYNC
            found[Kind.SUSPECT if is_suspect(run) else kind] += 1
        asked = {Kind.SUSPECT: free.suspects, Kind.ASYNC: free.async_runs, Kind.SYNC: free.sync_runs}
        return frozenset(kind for kind in Kind if found[kind] < asked[kind])
