"""The operator's calls of the store; `sources` has those that watch counters and listen to notifications.

Every call is idempotent. Those about one run are here; those about all runs are in `all_runs`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from perdure.errors import StoreError, StoreUnavailable
from perdure.names import Claim
from perdure.pod.environment import DEFAULT_LEASE_SECONDS
from perdure.store.attempts.checkpoint import Answer
from perdure.store.postgres.connection import storable
from perdure.store.runs.model import RunState

from ..decide.observed import Limits, Run, Workflow
from .all_runs import AllRuns
from .batching import BatchLoader
from .calls import answering_store
from .clock import EventAges
from .rows import LONGEST_ERROR, LONGEST_RESULT, new_run, run_of_row
from .step_counts import StepCounts

__all__ = ["AttemptRecord", "OperatorStore", "RunLookup"]

GONE_PATIENCE: Final = 60.0
"""Seconds that the process of a run has to end once its Workflow is gone; most pods have a shorter grace period."""

_LIMIT: Final = 10.0
"""Seconds that one call may take."""


@dataclass(frozen=True, slots=True)
class RunLookup:
    """A run as the store has it, None where it has none of this owner with that id; and the store that says so."""

    store_id: UUID
    run: Run | None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
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


class OperatorStore(AllRuns):
    """The runs of one owner.

    Args:
        url: of the store.
        owner: whose runs: `cluster:<UID of the namespace kube-system, or the id that was given>`.
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
        limit: float = _LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(url, owner, lease=lease, connections=connections, limit=limit)
        self._ages = EventAges(clock)
        self._steps = StepCounts(clock)
        self._observations = BatchLoader(self._observe_together)

    async def close(self) -> None:
        await self._observations.close()
        await super().close()

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

    async def observe(self, uid: UUID) -> RunLookup:
        """A run with all that is decided by; its `silent` is for `liveness` to say. One round trip, shared with others.

        Raises:
            StoreUnavailable: no answer in time.
            SchemaMismatch: there is no schema, or another one.
        """
        return await self._observations.answer(uid)

    async def _observe_together(self, uids: Sequence[UUID]) -> dict[UUID, RunLookup]:
        doing = f"look at run {uids[0]}" + (f" and {len(uids) - 1} others" if len(uids) > 1 else "")
        good = self._steps.good(uids)
        parameters = {
            "runs": uids,
            "counted": [uid for uid, _, _ in good],
            "claims": [claim for _, claim, _ in good],
            "steps": [steps for _, _, steps in good],
            "longest_result": LONGEST_RESULT,
            "longest_error": LONGEST_ERROR,
        }
        rows = await self._read("observe", parameters, doing)
        store_id = answering_store(rows, doing)
        runs = {row["id"]: run_of_row(row, self._ages) for row in rows if row["id"] is not None}
        for uid in uids:
            if (run := runs.get(uid)) is not None:
                self._steps.saw(uid, run.claim, run.steps)
            else:
                self._ages.forget(uid)
                self._steps.forget(uid)
        return {uid: RunLookup(store_id, runs.get(uid)) for uid in uids}

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
            "disruption_limit": limits.disruption_limit,
        }
        return await self._write("set_limits", parameters, f"change the limits of run {uid}") is not None

    async def request_cancel(self, uid: UUID, *, at_once: bool = False) -> RunState | None:
        """Cancel a run that nobody holds, ask a held one to end; its state then, None if there was nothing to cancel.

        One that may clean up is left to its next attempt for that; not `at_once`.

        Raises:
            StoreUnavailable: no answer in time.
        """
        state = await self._write("request_cancel", {"run": uid, "at_once": at_once}, f"cancel run {uid}")
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

    async def attempts(self, uid: UUID, *, after: int = 0) -> list[AttemptRecord]:
        """The attempts at a run after the one of this number, oldest first.

        Raises:
            StoreUnavailable: no answer in time.
        """
        rows = await self._read("run_attempts", {"run": uid, "after": after}, f"read the attempts at run {uid}")
        return [AttemptRecord(**row) for row in rows]
