"""For how many runs of which kind a worker has room now, given what it runs. Pure.

A suspect runs beside nothing but what has checkpointed, and for a while nothing else is claimed beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..definitions import WorkflowDefinition
from ..names import Claim
from ..store.claims import ClaimedRun, Places
from .backlog import SUSPECT_CRASHES, Kind
from .execution import Running

__all__ = ["Room", "is_suspect"]

_AT_ONCE = 256
"""Runs in one claim: the first of them run while the next ones are claimed."""

_PROBATION = 10.0
"""Seconds for which a suspect that has not checkpointed is left alone; a longer step must not keep others out."""

_PATIENCE = 60.0
"""Seconds for which a suspect waits until all that run here have checkpointed; until then no others are claimed."""


def is_suspect(run: ClaimedRun) -> bool:
    """Whether it may be this run that kills its processes."""
    return run.crashes >= SUSPECT_CRASHES


class Room:
    """The places of a worker. Every `now` on one monotonic clock.

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
        self._suspect_since: float | None = None

    def claimed(self, running: Running) -> None:
        """A run was claimed."""
        if is_suspect(running.run):
            self._suspects[running.run.claim] = running
            self._suspect_since = None

    def forgotten(self, running: Running) -> None:
        """A run has ended here."""
        self._suspects.pop(running.run.claim, None)

    def places(self, work: Collection[Kind], here: Collection[Running], now: float) -> Places:
        """How many runs to claim, of the kinds of which there may be some."""
        if not work or self.on_probation(now):
            return Places()
        if Kind.SUSPECT in work:
            if self._suspect_since is None:
                self._suspect_since = now
            alone = all(running.checkpointed for running in here)
            return Places(suspects=1) if alone or now - self._suspect_since >= _PATIENCE else Places()
        self._suspect_since = None
        in_loop = sum(running.definition.is_async for running in here)
        in_threads = len(here) - in_loop
        return Places(
            async_runs=min(_AT_ONCE, max(0, self._concurrency - in_loop)) if Kind.ASYNC in work else 0,
            sync_runs=min(_AT_ONCE, max(0, self._threads - in_threads)) if Kind.SYNC in work else 0,
        )

    def on_probation(self, now: float) -> bool:
        """Whether a suspect is to be left alone."""
        for claim, running in list(self._suspects.items()):
            if running.checkpointed or now - running.since >= _PROBATION:
                del self._suspects[claim]
        return bool(self._suspects)

    def without_more(self, places: Places, got: Collection[ClaimedRun]) -> frozenset[Kind]:
        """The kinds of which a claim found fewer runs than there were places."""
        found = dict.fromkeys(Kind, 0)
        for run in got:
            kind = Kind.ASYNC if self._definitions[run.entrypoint].is_async else Kind.SYNC
            found[Kind.SUSPECT if is_suspect(run) else kind] += 1
        asked = {Kind.SUSPECT: places.suspects, Kind.ASYNC: places.async_runs, Kind.SYNC: places.sync_runs}
        return frozenset(kind for kind in Kind if found[kind] < asked[kind])
