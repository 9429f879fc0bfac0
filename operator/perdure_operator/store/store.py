"""The operator's calls of the store; `sources` has those that watch counters and listen to notifications.

Every call is idempotent: it may be made again after its answer was lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from perdure.attempt_ends import AttemptEnd
from perdure.errors import StoreError, StoreUnavailable
from perdure.names import Claim
from perdure.pod.environment import DEFAULT_LEASE_SECONDS
from perdure.store.attempts.checkpoint import Answer
from perdure.store.postgres.connection import storable
from perdure.store.runs.model import RunState

from ..decide.observed import Limits, Workflow
from ..truncate import MAX_RESULT_BYTES
from .batching import BatchLoader
from .calls import StoreCalls, answering_store
from .clock import EventAges
from .pool import Identity
from .rows import (
    LONGEST_ERROR,
    AttemptRecord,
    RunCount,
    RunListing,
    RunLookup,
    attempt_of_row,
    listing_of_row,
    new_run,
    run_of_row,
)
from .step_counts import StepCounts

__all__ = ["OperatorStore"]

GONE_PATIENCE: Final = 60.0
"""Seconds that the process of a run has to end after its Workflow was deleted; most pods' grace periods are shorter."""

RETENTION: Final = timedelta(days=7)
"""How long the rows of a run are kept after its Workflow was deleted."""

_LIMIT: Final = 10.0
"""Seconds that a call about one run may take."""

_LIMIT_OF_MANY: Final = 30.0
"""Seconds that a call about many runs may take."""

_MARKS: Final = 10_000
"""How many runs one statement marks at most."""


class OperatorStore:
    """The runs of one owner.

    Args:
        url: of the store.
        owner: of the runs: `cluster:<UID of the namespace kube-system, or the configured id>`.
        lease: seconds to wait for a lock on a run's row.
        connections: how many calls may run at a time.
        limit: seconds that a call about one run may take.
        clock: monotonic.

    Raises:
        UsageError: the URL cannot be read, or the owner is not a cluster.
    """

    def __init__(
        self,
        url: str,
        owner: str,
        *,
        lease: float = DEFAULT_LEASE_SECONDS,
        connections: int = 4,
        limit: float = _LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._owner = owner
        self._calls = StoreCalls(url, owner, lease=lease, connections=connections, limit=limit)
        self._ages = EventAges(clock)
        self._steps = StepCounts(clock)
        self._observations = BatchLoader(self._observe_together)

    async def close(self) -> None:
        """End all connections."""
        await self._observations.close()
        await self._calls.close()

    async def identity(self) -> Identity:
        """The identity of the store.

        Raises:
            StoreUnavailable, SchemaMismatch, StoreError
        """
        [row] = await self._calls.read("identity", {}, "ask the store who it is")
        return Identity(row["store_id"], row["system"])

    async def insert(self, workflow: Workflow, source: Mapping[str, str] | None = None) -> bool:
        """Insert the run of a Workflow, with the files of its source. False if the store has it already.

        Raises:
            StoreUnavailable: no answer in time.
            StoreError: the store rejects it, or the run has another owner.
            UsageError: the Workflow has no valid spec.
        """
        parameters = new_run(workflow, self._owner, source).parameters
        doing = f"insert run {workflow.uid}"
        # Without a row, another insert has come in between that this statement's snapshot does not show: try again.
        for _ in range(3):
            if rows := await self._calls.read("insert_run", parameters, doing):
                if rows[0]["owner"] != self._owner:
                    raise StoreError(f"{doing}: a run of {rows[0]['owner']!r} has this id already")
                return bool(rows[0]["inserted"])
        raise StoreUnavailable(f"{doing}: others insert and delete it at the same time")

    async def observe(self, uid: UUID) -> RunLookup:
        """Look up a run with all fields but `silent`, which `sources.liveness` sets. Concurrent lookups share a query.

        Where this owner has no such run, a second round trip asks whose it is.

        Raises:
            StoreUnavailable: no answer in time.
            SchemaMismatch: there is no schema, or another one.
        """
        return await self._observations.load(uid)

    async def _observe_together(self, uids: Sequence[UUID]) -> dict[UUID, RunLookup]:
        doing = f"look at run {uids[0]}" + (f" and {len(uids) - 1} others" if len(uids) > 1 else "")
        good = self._steps.good(uids)
        parameters = {
            "runs": uids,
            "counted": [uid for uid, _, _ in good],
            "claims": [claim for _, claim, _ in good],
            "steps": [steps for _, _, steps in good],
            "longest_result": MAX_RESULT_BYTES,
            "longest_error": LONGEST_ERROR,
        }
        rows = await self._calls.read("observe", parameters, doing)
        store_id = answering_store(rows, doing)
        runs = {row["id"]: run_of_row(row, self._ages) for row in rows if row["id"] is not None}
        missing = [uid for uid in uids if uid not in runs]
        others = await self._calls.read("other_owners", {"runs": missing}, doing) if missing else []
        owners = {row["id"]: row["owner"] for row in others}
        for uid in uids:
            if (run := runs.get(uid)) is not None:
                self._steps.saw(uid, run.claim, run.steps)
            else:
                self._ages.forget(uid)
                self._steps.forget(uid)
        return {uid: RunLookup(store_id, runs.get(uid), owners.get(uid)) for uid in uids}

    async def claim(self, uid: UUID, observed_attempt: int) -> Claim | None:
        """Claim a run for the attempt after the observed one. None if it was claimed otherwise, or must not be.

        Raises:
            StoreUnavailable: no answer in time; the run may be claimed, so look it up again.
        """
        token = Claim(uuid4())
        doing = f"claim run {uid}"
        parameters = {"run": uid, "token": token, "observed": observed_attempt}
        claimed = await self._calls.write("claim_run", parameters, doing)
        if not claimed:
            # The statement may have been sent twice: then the first one, whose response was lost, has claimed the run.
            claimed = await self._calls.read("claimed_attempt", {"run": uid, "token": token}, doing)
        return token if claimed else None

    async def release_run(
        self,
        uid: UUID,
        claim: Claim,
        ending: AttemptEnd,
        *,
        detail: str,
        code: int | None = None,
        signal: int | None = None,
    ) -> bool:
        """End a claimed attempt; False if the claim does not own the run anymore.

        Raises:
            StoreUnavailable: no answer in time.
            StoreError: there is no such ending.
        """
        parameters = {"run": uid, "claim": claim, "ending": ending, "code": code, "signal": signal}
        doing = f"end the attempt at run {uid}"
        answer = await self._calls.write("release_run", {**parameters, "detail": storable(detail)}, doing)
        return Answer(answer) in (Answer.DONE, Answer.DONE_BEFORE)

    async def note_image(self, uid: UUID, claim: Claim, image: str) -> bool:
        """Note the id of the image that an attempt runs; False if one is noted already, or there is no such attempt.

        Raises:
            StoreUnavailable: no answer in time.
        """
        parameters = {"run": uid, "claim": claim, "image": storable(image)}
        doing = f"note the image of an attempt at run {uid}"
        return await self._calls.write("note_image", parameters, doing) is not None

    async def set_limits(self, uid: UUID, limits: Limits) -> bool:
        """Set the limits of a run that has not ended, but for `cancel`. Returns whether that changed any.

        Raises:
            StoreUnavailable: no answer in time.
        """
        parameters = {
            "run": uid,
            "backoff_limit": limits.backoff_limit,
            "deadline_seconds": limits.deadline_seconds,
            "suspend": limits.suspend,
            "disruption_limit": limits.disruption_limit,
        }
        return await self._calls.write("set_limits", parameters, f"change the limits of run {uid}") is not None

    async def request_cancel(self, uid: UUID, *, at_once: bool = False) -> RunState | None:
        """Cancel an unclaimed run, or request the process of a claimed one to end it.

        Returns its state after that; None if it had ended or does not exist. A run that may clean up gets an attempt
        for that, unless `at_once`.

        Raises:
            StoreUnavailable: no answer in time.
        """
        state = await self._calls.write("request_cancel", {"run": uid, "at_once": at_once}, f"cancel run {uid}")
        return None if state is None else RunState(state)

    async def cancel_gone(self, uid: UUID, patience: float = GONE_PATIENCE) -> RunState | None:
        """Cancel a run whose Workflow was deleted. Returns its state after that; None as for `request_cancel`.

        An attempt that has begun gets a request to end, and `patience` seconds for it from the call of `mark_gone` on.

        Raises:
            StoreUnavailable: no answer in time.
        """
        state = await self._calls.write("cancel_gone", {"run": uid, "patience": patience}, f"cancel run {uid}")
        return None if state is None else RunState(state)

    async def end_run(self, uid: UUID, error_type: str, message: str) -> bool:
        """Fail a run, claimed or not, with this error. False if it had ended or does not exist.

        Raises:
            StoreUnavailable: no answer in time.
        """
        parameters = {"run": uid, "type": error_type, "message": storable(message)}
        return await self._calls.write("end_run", parameters, f"end run {uid}") is not None

    async def attempts(self, uid: UUID, *, after: int = 0) -> list[AttemptRecord]:
        """The attempts at a run after the one of this number, oldest first.

        Raises:
            StoreUnavailable: no answer in time.
        """
        rows = await self._calls.read("run_attempts", {"run": uid, "after": after}, f"read the attempts at run {uid}")
        return [attempt_of_row(row) for row in rows]

    # Calls about all runs of the owner.

    async def active_runs(self) -> tuple[UUID, list[RunListing]]:
        """All runs that have not ended, and the id of the store. To be read before the Workflows are listed.

        Raises:
            StoreUnavailable: no answer in time.
        """
        doing = "list active runs"
        rows = await self._calls.read("active_runs", {}, doing, _LIMIT_OF_MANY)
        return answering_store(rows, doing), [listing_of_row(row) for row in rows if row["id"] is not None]

    async def ended_runs(self) -> list[RunListing]:
        """All runs that have ended and whose Workflow is not marked as deleted.

        Raises:
            StoreUnavailable: no answer in time.
        """
        rows = await self._calls.read("ended_runs", {}, "list ended runs", _LIMIT_OF_MANY)
        return [listing_of_row(row) for row in rows]

    async def count(self) -> list[RunCount]:
        """Count the runs whose Workflow is not marked as deleted.

        Raises:
            StoreUnavailable: no answer in time.
        """
        rows = await self._calls.read("count_runs", {}, "count runs", _LIMIT_OF_MANY)
        return [RunCount(r["namespace"], RunState(r["state"]), r["held"], r["runs"]) for r in rows]

    async def notify_queue(self) -> float:
        """The fraction of the server's queue of notifications that is in use, from 0 to 1.

        Raises:
            StoreUnavailable: no answer in time.
        """
        [row] = await self._calls.read("notify_queue", {}, "look at the queue of notifications")
        return float(row["usage"])

    async def mark_gone(self, uids: Collection[UUID]) -> int:
        """Mark the Workflows of these runs as deleted. Those that were marked before keep their time.

        Raises:
            StoreUnavailable: no answer in time.
        """
        return await self._mark("mark_gone", uids, "note which Workflows are gone")

    async def mark_back(self, uids: Collection[UUID]) -> int:
        """Remove the mark that the Workflows of these runs were deleted.

        A Workflow comes back with its UID if the cluster was restored from a backup. The state of its run stays.

        Raises:
            StoreUnavailable: no answer in time.
        """
        return await self._mark("mark_back", uids, "note which Workflows are back")

    async def delete_gone_steps(self, older_than: timedelta, batch: int) -> int:
        """Delete up to `batch` steps of runs that ended, and whose Workflow was marked, longer ago than `older_than`.

        Raises:
            StoreUnavailable: no answer in time; nothing was deleted.
        """
        parameters = {"seconds": older_than.total_seconds(), "batch": batch}
        doing = "delete steps of Workflows that are gone"
        [row] = await self._calls.read("delete_gone_steps", parameters, doing, _LIMIT_OF_MANY)
        return int(row["deleted"])

    async def delete_gone_runs(self, older_than: timedelta, batch: int) -> int:
        """Delete up to `batch` of those runs that have no steps left.

        Raises:
            StoreUnavailable: no answer in time; nothing was deleted.
        """
        parameters = {"seconds": older_than.total_seconds(), "batch": batch}
        doing = "delete runs of Workflows that are gone"
        return len(await self._calls.read("delete_gone_runs", parameters, doing, _LIMIT_OF_MANY))

    async def sweep_processes(self) -> None:
        """Delete the rows of processes whose claims have ended.

        Raises:
            StoreUnavailable: no answer in time.
        """
        await self._calls.read("sweep_processes", {}, "delete rows of processes that are over", _LIMIT_OF_MANY)

    async def _mark(self, name: str, uids: Collection[UUID], doing: str) -> int:
        wanted, marked = list(uids), 0
        for start in range(0, len(wanted), _MARKS):
            marked += len(await self._calls.read(name, {"runs": wanted[start : start + _MARKS]}, doing, _LIMIT_OF_MANY))
        return marked
