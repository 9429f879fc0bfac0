"""Watches the counters of all processes that hold runs of the owner, with one narrow query for all of them.

A process is dead only by what this operator has itself seen of its counter (`CounterFailureDetector`): a read that
failed or took long, or a pause of this operator, starts every observation anew and takes back every verdict. Where most
fall silent at once, it is the way to the store that is suspected (`Suspicion`), and nobody is taken for dead out of
turn.
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
"""Seconds between reads while nothing is known to run, or about to."""

_EXPECTED = 60.0
"""Seconds for which a claimed run is about to begin; while it has not, it is looked at more often than that."""


class Liveness:
    """Tells which runs' processes are dead.

    Args:
        url: of the store.
        owner: whose runs.
        newly_silent: is given runs whose processes were just seen dead; each once, unless what was seen is taken back.
        lease: seconds for which a counter must have stood still.
        idle: seconds between reads while nothing is known to run, or about to.
        namespace, node: of a run, and of its newest attempt, as far as is known.
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
        # A connection of its own: calls that wait for each other are no reason to start anew.
        self._connections = ConnectionPool(url, application_name="perdure operator (liveness)")
        # A run and its claim are one text here: thousands are read every second, and hardly one is ever looked at.
        self._observer = CounterFailureDetector[str](lease, lease / 2)
        self._suspicion = Suspicion(lease, namespace, node)
        self._watched: Collection[str] = ()
        self._silent: set[str] = set()
        self._expected_until = float("-inf")
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Watch, until cancelled."""
        try:
            while True:
                # Cleared before the read: what begins while it is under way asks for another.
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
        """Why the process of this claim, which has begun, is taken for dead; None while it is not."""
        held = f"{uid} {claim}"
        if held not in self._watched:
            self._wake.set()
        if held not in self._silent or self._suspicion.left_alone(uid):
            return None
        return f"its process gave no sign of life for {self._lease:g} s"

    def left_alone(self, uid: UUID, run: Run | None) -> str | None:
        """Why a silent attempt is not taken for dead, or why none is started of a run that is to be claimed."""
        if not self._suspicion.left_alone(uid):
            return None
        if run is None or run.claim is None:
            self._suspicion.wait(uid)
            return self._suspicion.problem
        return self._suspicion.problem if f"{uid} {run.claim}" in self._silent else None

    def judged(self, uid: UUID, run: Run) -> Run:
        """The run as observed, with what is known of its process."""
        if run.claim is None:
            return run
        if not run.begun:
            # Nobody tells of a begin, and the node may be gone a moment later: it is watched for from now on.
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
        """How many of them gave no sign of life for a whole lease."""
        return len(self._silent)

    @property
    def suspicion(self) -> str | None:
        """Why attempts are left alone and started one at a time; None while they are not."""
        return self._suspicion.problem

    async def _look(self) -> bool:
        """Read the counters; whether to go on reading them often."""
        asked = time.monotonic()
        try:
            rows = await self._connections.rows("live_runs", {"owner": self._owner}, "watch processes", self._lease / 2)
        except StoreError as error:
            if self._watched:
                _log.warning("processes are not watched, so none is taken for dead: %s", error)
            self._observer.failed()
            self._suspicion.failed()
            self._watched = ()
            self._silent = set()
            return True
        # By their claims, which no process chooses: with another's id it could hide that one's death.
        self._take_in(asked, time.monotonic(), {row["held"]: row["counter"] for row in rows})
        return bool(rows)

    def _take_in(self, asked: float, answered: float, counters: Mapping[str, int | None]) -> None:
        still = self._observer.read(asked, answered, counters)
        before, waiting, turn = self._silent, self._suspicion.waiting(), self._suspicion.turn
        suspected = self._suspicion.problem
        if self._observer.anew:
            self._suspicion.failed()
        # What fell silent with the first ones was last heard of a heartbeat and a read later.
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
            _log.info("pods reach the store again: attempts start as they come, and the silent ones are watched anew")
        else:
            _log.warning("nothing was heard of the silent attempts for too long: each is taken for dead")
