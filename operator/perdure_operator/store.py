"""All that the operator asks of the store, but for what it watches (`liveness`) and hears (`listen`).

Every call has a time limit, is idempotent, and may be repeated whatever became of the one before. A row that somebody
has locked is waited for aside from the others, for as long as a lease; then its holder's backend is ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

from perdure.errors import StoreError, StoreUnavailable, UsageError
from perdure.names import Claim
from perdure.pod.environment import DEFAULT_LEASE_SECONDS
from perdure.store.checkpoints import LOCK_TIMEOUT, Answer
from perdure.store.connection import storable
from perdure.store.contention import execute_patiently
from perdure.store.records import RunState

from .ages import Ages
from .connections import Connections, Identity, Row, RowLocked, query
from .observed import Limits, Run, Workflow
from .store_rows import LONGEST_ERROR, LONGEST_RESULT, new_run, run_of_row
from .together import Together

__all__ = ["OWNER_PREFIX", "AttemptCourse", "Identity", "OperatorStore", "RunCount", "RunListing", "Seen"]

OWNER_PREFIX: Final = "cluster:"
"""How the owners of clusters' runs begin; the schema has indices for them."""

GONE_PATIENCE: Final = 60.0
"""Seconds that the process of a run has to end once its Workflow is gone; most pods have a shorter grace period."""

RETENTION: Final = timedelta(days=7)
"""How long what is stored of a run is kept after its Workflow is gone."""

_CALL_LIMIT = 10.0
"""Seconds that one call may take."""

_BULK_LIMIT = 30.0
"""Seconds that a call about many runs may take."""

_MARKS = 10_000
"""Runs in a statement that only marks."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as the store has it, None where it has none of this owner with that id; and the store that says so."""

    store_id: UUID
    run: Run | None


@dataclass(frozen=True, slots=True)
class AttemptCourse:
    """How an attempt went, as far as it has.

    Attributes:
        ending: in the words of the table `attempts`; None before its end.
        image: the id of its image, once that is noted.
        began_after: seconds from its claim to the begin of its process.
        stepped_after: seconds from its claim to the start of the first of its steps; None until one is finished.
    """

    attempt: int
    ending: str | None
    image: str | None
    began_after: float | None
    stepped_after: float | None


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


class OperatorStore:
    """The runs of one owner.

    Args:
        url: of the store.
        owner: whose runs: `cluster:<UID of the namespace kube-system>`.
        lease: seconds for which a lock on a run's row is waited for.
        connections: how many calls are made at a time.
        limit: seconds that a call about one run may take.
        clock: monotonic.

    Raises:
        UsageError: the URL cannot be read, or it is no cluster's owner.
    """

    def __init__(
        self,
        url: str,
        owner: str,
        *,
        lease: float = DEFAULT_LEASE_SECONDS,
        connections: int = 4,
        limit: float = _CALL_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not owner.startswith(OWNER_PREFIX):
            raise UsageError(f"{owner!r} is no cluster's owner: it begins with {OWNER_PREFIX!r}")
        self._url = url
        self._owner = owner
        self._lease = lease
        self._limit = limit
        self._connections = Connections(url, size=connections)
        self._aside = ThreadPoolExecutor(4, "perdure-locked")
        self._ages = Ages(clock)
        self._observations = Together(self._observe_together)

    async def close(self) -> None:
        """End all connections."""
        await self._observations.close()
        self._aside.shutdown(wait=False, cancel_futures=True)
        await self._connections.close()

    async def identity(self) -> Identity:
        """Which store this is.

        Raises:
            StoreUnavailable, SchemaMismatch, StoreError
        """
        [row] = await self._read("identity", {}, "ask the store who it is")
        return Identity(row["store_id"], row["system"])

    # One run.

    async def insert(self, workflow: Workflow, source: Mapping[str, str] | None = None) -> bool:
        """Insert the run of a Workflow, with the files of its source; whether it was not there before.

        Raises:
            StoreUnavailable: no answer in time.
            StoreError: the store refuses, or the run belongs to somebody else.
            UsageError: the Workflow has no valid spec.
        """
        parameters = new_run(workflow, self._owner, source).parameters
        doing = f"insert run {workflow.uid}"
        # No row at all: another insert came in between, which this one's snapshot does not show.
        for _ in range(3):
            if rows := await self._read("insert_run", parameters, doing):
                if rows[0]["owner"] != self._owner:
                    raise StoreError(f"{doing}: there is one of {rows[0]['owner']!r} under this id")
                return bool(rows[0]["inserted"])
        raise StoreUnavailable(f"{doing}: others insert and delete it at the same time")

    async def observe(self, uid: UUID) -> Seen:
        """A run with all that is decided by; its `silent` is for `liveness` to say. One round trip, shared with others.

        Raises:
            StoreUnavailable: no answer in time.
            SchemaMismatch: there is no schema, or another one.
        """
        return await self._observations.answer(uid)

    async def _observe_together(self, uids: Sequence[UUID]) -> dict[UUID, Seen]:
        doing = f"look at run {uids[0]}" + (f" and {len(uids) - 1} others" if len(uids) > 1 else "")
        parameters = {"runs": uids, "longest_result": LONGEST_RESULT, "longest_error": LONGEST_ERROR}
        rows = await self._read("observe", parameters, doing)
        store_id = _store_id(rows, doing)
        runs = {row["id"]: run_of_row(row, self._ages) for row in rows if row["id"] is not None}
        for uid in uids:
            if uid not in runs:
                self._ages.forget(uid)
        return {uid: Seen(store_id, runs.get(uid)) for uid in uids}

    async def claim(self, uid: UUID, observed_attempt: int) -> Claim | None:
        """Claim a run for the attempt after the observed one; None if somebody else did, or nobody may.

        Raises:
            StoreUnavailable: no answer in time; the run may be claimed: look at it.
        """
        token = Claim(uuid4())
        doing = f"claim run {uid}"
        claimed = await self._write("claim_run", {"run": uid, "token": token, "observed": observed_attempt}, doing)
        if not claimed:
            # An earlier try of this call, whose answer was lost, may have been the one that did.
            claimed = await self._read("claimed_attempt", {"run": uid, "token": token}, doing)
        return token if claimed else None

    async def hand_back(
        self,
        uid: UUID,
        claim: Claim,
        ending: str,
        *,
        detail: str,
        code: int | None = None,
        signal: int | None = None,
    ) -> bool:
        """End a claimed attempt, in the words of the table `attempts`; False if the claim does not own the run anymore.

        Raises:
            StoreUnavailable: no answer in time.
            StoreError: there is no such ending.
        """
        parameters = {"run": uid, "claim": claim, "ending": ending, "code": code, "signal": signal}
        doing = f"end the attempt at run {uid}"
        answer = await self._write("hand_back", {**parameters, "detail": storable(detail)}, doing)
        return Answer(answer) in (Answer.DONE, Answer.DONE_BEFORE)

    async def note_image(self, uid: UUID, claim: Claim, image: str) -> bool:
        """Note the id of the image that an attempt runs; False if one is noted already, or there is no such attempt.

        Raises:
            StoreUnavailable: no answer in time.
        """
        parameters = {"run": uid, "claim": claim, "image": storable(image)}
        return await self._write("note_image", parameters, f"note the image of an attempt at run {uid}") is not None

    async def set_limits(self, uid: UUID, limits: Limits) -> bool:
        """Have a run that has not ended follow these limits, but for `cancel`; whether that changed anything.

        Raises:
            StoreUnavailable: no answer in time.
        """
        parameters = {
            "run": uid,
            "backoff_limit": limits.backoff_limit,
            "deadline_seconds": limits.deadline_seconds,
            "suspend": limits.suspend,
        }
        return await self._write("set_limits", parameters, f"change the limits of run {uid}") is not None

    async def request_cancel(self, uid: UUID) -> RunState | None:
        """Cancel a run that nobody holds, ask a held one to end; its state then, None if there was nothing to cancel.

        Raises:
            StoreUnavailable: no answer in time.
        """
        state = await self._write("request_cancel", {"run": uid}, f"cancel run {uid}")
        return None if state is None else RunState(state)

    async def cancel_gone(self, uid: UUID, patience: float = GONE_PATIENCE) -> RunState | None:
        """Cancel a run whose Workflow is gone; its state then, None if there was nothing to cancel.

        An attempt that has begun is asked to end, and has `patience` seconds for it, from when `mark_gone` was called.

        Raises:
            StoreUnavailable: no answer in time.
        """
        state = await self._write("cancel_gone", {"run": uid, "patience": patience}, f"cancel run {uid}")
        return None if state is None else RunState(state)

    async def end_run(self, uid: UUID, error_type: str, message: str) -> bool:
        """Fail a run, held or not, with this error; False if it had ended, or is gone.

        Raises:
            StoreUnavailable: no answer in time.
        """
        parameters = {"run": uid, "type": error_type, "message": storable(message)}
        return await self._write("end_run", parameters, f"end run {uid}") is not None

    async def attempts(self, uid: UUID, *, after: int = 0) -> list[AttemptCourse]:
        """The attempts at a run after the one of this number, oldest first.

        Raises:
            StoreUnavailable: no answer in time.
        """
        rows = await self._read("run_attempts", {"run": uid, "after": after}, f"read the attempts at run {uid}")
        return [AttemptCourse(**row) for row in rows]

    # All runs of the owner.

    async def active_runs(self) -> tuple[UUID, list[RunListing]]:
        """All runs that have not ended, and the store that has them. Read these before the Workflows are listed.

        Raises:
            StoreUnavailable: no answer in time.
        """
        doing = "list active runs"
        rows = await self._read("active_runs", {}, doing, _BULK_LIMIT)
        return _store_id(rows, doing), [_listing(row) for row in rows if row["id"] is not None]

    async def ended_runs(self) -> list[RunListing]:
        """All runs that have ended and whose Workflow is there, as far as is known: one is found gone by comparing.

        Raises:
            StoreUnavailable: no answer in time.
        """
        return [_listing(row) for row in await self._read("ended_runs", {}, "list ended runs", _BULK_LIMIT)]

    async def count(self) -> list[RunCount]:
        """How many runs there are, without those whose Workflow is gone.

        Raises:
            StoreUnavailable: no answer in time.
        """
        rows = await self._read("count_runs", {}, "count runs", _BULK_LIMIT)
        return [RunCount(r["namespace"], RunState(r["state"]), r["held"], r["runs"]) for r in rows]

    # Retention.

    async def mark_gone(self, uids: Collection[UUID]) -> int:
        """Note that the Workflows of these runs are known to be gone: from now on, where it was not known before.

        Raises:
            StoreUnavailable: no answer in time.
        """
        wanted, marked = list(uids), 0
        doing = "note which Workflows are gone"
        for start in range(0, len(wanted), _MARKS):
            marked += len(await self._read("mark_gone", {"runs": wanted[start : start + _MARKS]}, doing, _BULK_LIMIT))
        return marked

    async def delete_runs_of_gone_workflows(self, older_than: timedelta = RETENTION, *, batch: int = 200) -> int:
        """Delete what is stored of runs that ended, and whose Workflow was known to be gone, longer ago than that.

        Each batch is a statement of its own; an interrupted call has done what it did.

        Raises:
            StoreUnavailable: no answer in time.
        """
        doing = "delete runs of Workflows that are gone"
        deleted = 0
        while True:
            parameters = {"seconds": older_than.total_seconds(), "batch": batch}
            rows = await self._read("delete_gone", parameters, doing, _BULK_LIMIT)
            deleted += len(rows)
            if len(rows) < batch:
                break
        await self._read("sweep_processes", {}, doing, _BULK_LIMIT)
        return deleted

    # How it is asked.

    async def _read(
        self, name: str, parameters: Mapping[str, object], doing: str, limit: float | None = None
    ) -> Sequence[Row]:
        return await self._connections.rows(name, {"owner": self._owner, **parameters}, doing, limit or self._limit)

    async def _write(self, name: str, parameters: Mapping[str, object], doing: str) -> Any:
        """Change one run's row. Returns the first column of the first row that the statement returns."""
        try:
            rows = await self._read(name, {**parameters, "lock_timeout": f"{LOCK_TIMEOUT}ms"}, doing)
        except RowLocked:
            return await self._write_patiently(name, parameters, doing)
        return next(iter(rows[0].values())) if rows else None

    async def _write_patiently(self, name: str, parameters: Mapping[str, object], doing: str) -> Any:
        patience = {"lock_timeout": f"{int(self._lease * 3000)}ms", "owner": self._owner}
        call = partial(
            execute_patiently, self._url, query(name), {**parameters, **patience}, lease=self._lease, doing=doing
        )
        limit = 4 * self._lease + self._limit
        try:
            async with asyncio.timeout(limit):
                rows = await asyncio.get_running_loop().run_in_executor(self._aside, call)
        except TimeoutError:
            raise StoreUnavailable(f"{doing}: the row was locked, and nothing came of it in {limit:g} s") from None
        return rows[0][0] if rows else None


def _store_id(rows: Sequence[Row], doing: str) -> UUID:
    if not rows:
        raise StoreUnavailable(f"{doing}: the store says nothing of itself: it is being migrated")
    store_id: UUID = rows[0]["store_id"]
    return store_id


def _listing(row: Row) -> RunListing:
    return RunListing(
        row["id"], row["namespace"], row["name"], RunState(row["state"]), row["attempt"], row["held"], row["cancel"]
    )
