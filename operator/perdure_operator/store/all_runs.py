"""What the operator asks of all its runs at a time: which there are, and what may go.

Each call is idempotent. One run at a time is `store`'s.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from perdure.store.runs.model import RunState

from .calls import StoreCalls, answering_store
from .pool import Row

__all__ = ["AllRuns", "RunCount", "RunListing"]

RETENTION: Final = timedelta(days=7)
"""How long what is stored of a run is kept after its Workflow is gone."""

_LIMIT: Final = 30.0
"""Seconds that a call about many runs may take."""

_MARKS: Final = 10_000
"""Runs in a statement that only marks."""


@dataclass(frozen=True, slots=True)
class RunListing:
    """What a resync looks at of each run; `held`: it is claimed."""

    uid: UUID
    namespace: str
    name: str
    state: RunState
    attempt: int
    held: bool
    cancel: bool


@dataclass(frozen=True, slots=True)
class RunCount:
    """How many runs of a namespace are in a state; `held`: claimed, so that there is a pod of each, or will be."""

    namespace: str
    state: RunState
    held: bool
    runs: int


class AllRuns(StoreCalls):
    """Calls about all runs of the owner."""

    async def active_runs(self) -> tuple[UUID, list[RunListing]]:
        """All runs that have not ended, and the store that has them. Read these before the Workflows are listed.

        Raises:
            StoreUnavailable: no answer in time.
        """
        doing = "list active runs"
        rows = await self._read("active_runs", {}, doing, _LIMIT)
        return answering_store(rows, doing), [_listing(row) for row in rows if row["id"] is not None]

    async def ended_runs(self) -> list[RunListing]:
        """All runs that have ended and whose Workflow is there, as far as is known: one is found gone by comparing.

        Raises:
            StoreUnavailable: no answer in time.
        """
        return [_listing(row) for row in await self._read("ended_runs", {}, "list ended runs", _LIMIT)]

    async def count(self) -> list[RunCount]:
        """How many runs there are, without those whose Workflow is gone.

        Raises:
            StoreUnavailable: no answer in time.
        """
        rows = await self._read("count_runs", {}, "count runs", _LIMIT)
        return [RunCount(r["namespace"], RunState(r["state"]), r["held"], r["runs"]) for r in rows]

    async def notify_queue(self) -> float:
        """How much of the server's queue of notifications is taken, of 1.

        Raises:
            StoreUnavailable: no answer in time.
        """
        [row] = await self._read("notify_queue", {}, "look at the queue of notifications")
        return float(row["usage"])

    async def mark_gone(self, uids: Collection[UUID]) -> int:
        """Note that the Workflows of these runs are known to be gone: from now on, where it was not known before.

        Raises:
            StoreUnavailable: no answer in time.
        """
        return await self._mark("mark_gone", uids, "note which Workflows are gone")

    async def mark_back(self, uids: Collection[UUID]) -> int:
        """Note that the Workflows of these runs are there, of whichever it was noted that they are gone.

        A Workflow comes back with its UID where the cluster was restored from a backup. What became of its run stays.

        Raises:
            StoreUnavailable: no answer in time.
        """
        return await self._mark("mark_back", uids, "note which Workflows are back")

    async def delete_gone_steps(self, older_than: timedelta, batch: int) -> int:
        """Delete up to `batch` steps of runs that ended, and whose Workflow was known to be gone, longer ago than that.

        Raises:
            StoreUnavailable: no answer in time; nothing was deleted.
        """
        parameters = {"seconds": older_than.total_seconds(), "batch": batch}
        [row] = await self._read("delete_gone_steps", parameters, "delete steps of Workflows that are gone", _LIMIT)
        return int(row["deleted"])

    async def delete_gone_runs(self, older_than: timedelta, batch: int) -> int:
        """Delete up to `batch` of those runs of which no step is left.

        Raises:
            StoreUnavailable: no answer in time; nothing was deleted.
        """
        parameters = {"seconds": older_than.total_seconds(), "batch": batch}
        return len(await self._read("delete_gone_runs", parameters, "delete runs of Workflows that are gone", _LIMIT))

    async def sweep_processes(self) -> None:
        """Delete rows of processes whose claim is over.

        Raises:
            StoreUnavailable: no answer in time.
        """
        await self._read("sweep_processes", {}, "delete rows of processes that are over", _LIMIT)

    async def _mark(self, name: str, uids: Collection[UUID], doing: str) -> int:
        wanted, marked = list(uids), 0
        for start in range(0, len(wanted), _MARKS):
            marked += len(await self._read(name, {"runs": wanted[start : start + _MARKS]}, doing, _LIMIT))
        return marked


def _listing(row: Row) -> RunListing:
    return RunListing(
        row["id"], row["namespace"], row["name"], RunState(row["state"]), row["attempt"], row["held"], row["cancel"]
    )
