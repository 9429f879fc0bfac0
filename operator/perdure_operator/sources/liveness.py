"""The failure detector: watches the heartbeat counters of all processes that hold runs of the owner, with one query.

A process counts as dead only by this operator's own observations of its counter (`CounterFailureDetector`). A failed
or slow read, or a pause of this operator, restarts all observations and revokes all verdicts. If most processes fall
silent at once, the network between pods and store is suspected (`Suspicion`); then they count as dead one at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from perdure.errors import StoreError
from perdure.names import Claim
from perdure.pod.environment import DEFAULT_LEASE_SECONDS
from perdure.process.liveness import CounterFailureDetector

from ..decide.observed import Run
from ..store.pool import ConnectionPool
from .suspicion import Suspicion, uid_of

__all__ = ["Liveness"]

_log = logging.getLogger("perdure.operator.liveness")

_READS_PER_LEASE = 4

_IDLE = 30.0
"""Seconds between reads while no run is known to be running or starting."""

_EXPECTED = 60.0
"""Seconds of frequent reads after the observation of a claimed run that has not begun; the next one comes earlier."""


class Liveness:
    """Detects dead processes of runs.

    Args:
        url: of the store.
        owner: of the runs.
        newly_silent: called with the runs whose processes have just been found dead. Each is passed once, and again
            only after its verdict was revoked.
        lease: seconds without a change of its counter after which a process counts as dead.
        idle: seconds between reads while no run is known to be running or starting.
        namespace, node: of a run, and of its newest attempt; None if unknown.
    """

    def __init__(
        self,
        url: str,
        owner: str,
        newly_silent: Callable[[Sequence[UUID]], None],
        *,
        lease: float = DEFAULT_LEASE_SECONDS,
        idle: float = _IDLE,
        namespace: Callable[[UUID], str | None] = lambda _: "",
        node: Callable[[UUID], str | None] = lambda _: None,
    ) -> None:
        self._owner = owner
        self._newly_silent = newly_silent
        self._lease = lease
        self._idle = idle
        # Its own connection: if reads had to wait for other calls, they would be slow and restart all observations.
        self._connections = ConnectionPool(url, application_name="perdure operator (liveness)")
        # Run and claim are one string here: thousands are read every second, and hardly any is ever parsed.
        self._observer = CounterFailureDetector[str](lease, lease / 2)
        self._suspicion = Suspicion(lease, namespace, node)
        self._watched: Collection[str] = ()
        self._silent: set[str] = set()
        self._expected_until = float("-inf")
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        try:
            while True:
                # Cleared before the read: a run that begins during the read must cause another one.
                self._wake.clear()
                if await self._look() or time.monotonic() < self._expected_until:
                    await asyncio.sleep(self._lease / _READS_PER_LEASE)
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._idle):
                            await self._wake.wait()
        finally:
            await self._connections.close()

    def silent(self, uid: UUID, claim: Claim) -> str | None:
        """Why the process of this claim, which has begun, counts as dead; None if it does not."""
        held = f"{uid} {claim}"
        if held not in self._watched:
            self._wake.set()
        if held not in self._silent or self._suspicion.left_alone(uid):
            return None
        return f"its process gave no sign of life for {self._lease:g} s"

    def left_alone(self, uid: UUID, run: Run | None) -> str | None:
        """Why a silent attempt does not count as dead now, or why a run is not claimed now; None if neither."""
        if not self._suspicion.left_alone(uid):
            return None
        if run is None or run.claim is None:
            self._suspicion.wait(uid)
            return self._suspicion.problem
        return self._suspicion.problem if f"{uid} {run.claim}" in self._silent else None

    def judged(self, uid: UUID, run: Run) -> Run:
        """The run with `silent` set, if its process is dead."""
        if run.claim is None:
            return run
        if not run.begun:
            # A begin sends no notification, and the process may die a moment later. So read often from now on.
            self._expected_until = time.monotonic() + _EXPECTED
            self._wake.set()
            return run
        return replace(run, silent=self.silent(uid, run.claim))

    @property
    def watched(self) -> int:
        """How many runs were held by a process at the last read."""
        return len(self._watched)

    @property
    def silent_now(self) -> int:
        """How many of them have been silent for a whole lease."""
        return len(self._silent)

    @property
    def suspicion(self) -> str | None:
        """Why silent attempts do not count as dead and attempts start one at a time; None if that is not so."""
        return self._suspicion.problem

    async def _look(self) -> bool:
        """Read the counters. Returns whether to continue with frequent reads."""
        asked = time.monotonic()
        try:
            rows = await self._connections.rows("live_runs", {"owner": self._owner}, "watch processes", self._lease / 2)
        except StoreError as error:
            if self._watched:
                _log.warning("the heartbeats could not be read, so no process counts as dead: %s", error)
            self._observer.failed()
            self._suspicion.failed()
            self._watched = ()
            self._silent = set()
            return True
        # Keyed by claim, which a process cannot choose. With the id of another process it could hide that one's death.
        self._take_in(asked, time.monotonic(), {row["held"]: row["counter"] for row in rows})
        return bool(rows)

    def _take_in(self, asked: float, answered: float, counters: Mapping[str, int | None]) -> None:
        still = self._observer.read(asked, answered, counters)
        before, waiting, turn = self._silent, self._suspicion.waiting(), self._suspicion.turn
        suspected = self._suspicion.problem
        if self._observer.anew:
            self._suspicion.failed()
        # Processes that stopped together with the first silent ones may have been observed one heartbeat and one read
        # later. So half a lease is enough to count as quiet.
        opened = self._suspicion.read(answered, counters, self._observer.quiet(self._lease / 2), still)
        self._watched = counters.keys()
        self._silent = set() if opened else set(still)
        if opened:
            self._observer.failed()
        told = [uid_of(held) for held in self._silent - before]
        if self._suspicion.problem != suspected:
            self._say(suspected, opened=opened)
            told = [*waiting, *map(uid_of, before | self._silent)]
        elif self._suspicion.turn not in (None, turn):
            assert self._suspicion.turn is not None
            told.append(self._suspicion.turn)
        if told:
            self._newly_silent(told)

    def _say(self, before: str | None, *, opened: bool) -> None:
        if before is None:
            _log.warning("%s", self._suspicion.problem)
        elif opened:
            _log.info(
                "pods reach the store again: attempts are no longer started one at a time, and all observations restart"
            )
        else:
            _log.warning("the silent attempts have been silent for too long: they count as dead now")
