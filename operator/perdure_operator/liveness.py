"""Watches the counters of all processes that hold runs of the owner, with one narrow query for all of them.

A process is dead only by what this operator has itself seen of its counter (`CounterObserver`): a read that failed or
took long, or a pause of this operator, starts every observation anew and takes back every verdict.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from perdure.errors import StoreError
from perdure.names import Claim
from perdure.pod.environment import DEFAULT_LEASE_SECONDS
from perdure.worker.observer import CounterObserver

from .connections import Connections
from .observed import Run

__all__ = ["Liveness"]

_log = logging.getLogger(__name__)

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
    """

    def __init__(
        self,
        url: str,
        owner: str,
        newly_silent: Callable[[Sequence[UUID]], None],
        *,
        lease: float = DEFAULT_LEASE_SECONDS,
        idle: float = _IDLE,
    ) -> None:
        self._owner = owner
        self._newly_silent = newly_silent
        self._lease = lease
        self._idle = idle
        # A connection of its own: calls that wait for each other are no reason to start anew.
        self._connections = Connections(url, application_name="perdure operator (liveness)")
        # A run and its claim are one text here: thousands are read every second, and hardly one is ever looked at.
        self._observer = CounterObserver[str](lease, lease / 2)
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
        return f"its process gave no sign of life for {self._lease:g} s" if held in self._silent else None

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

    async def _look(self) -> bool:
        """Read the counters; whether to go on reading them often."""
        asked = time.monotonic()
        try:
            rows = await self._connections.rows("live_runs", {"owner": self._owner}, "watch processes", self._lease / 2)
        except StoreError as error:
            if self._watched:
                _log.warning("processes are not watched, so none is taken for dead: %s", error)
            self._observer.failed()
            self._watched = ()
            self._silent = set()
            return True
        answered = time.monotonic()
        # By their claims, which no process chooses: with another's id it could hide that one's death.
        counters = {row["held"]: row["counter"] for row in rows}
        still = self._observer.read(asked, answered, counters)
        before = self._silent
        self._watched = counters.keys()
        self._silent = set(still)
        if new := self._silent - before:
            self._newly_silent([UUID(held.partition(" ")[0]) for held in new])
        return bool(rows)
