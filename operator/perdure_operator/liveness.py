"""Watches the counters of all processes that hold runs of the owner, with one narrow query for all of them.

A process is dead only by what this operator has itself seen of its counter (`ProcessObserver`): a read that failed or
took long, or a pause of this operator, starts every observation anew and takes back every verdict.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

from perdure.errors import StoreError
from perdure.names import Claim
from perdure.pod.environment import DEFAULT_LEASE_SECONDS
from perdure.store.processes import Watched
from perdure.worker.observer import ProcessObserver

from .connections import Connections
from .observed import Run

__all__ = ["Liveness"]

_log = logging.getLogger(__name__)

_READS_PER_LEASE = 4

_IDLE = 30.0
"""Seconds between reads while nothing is known to run."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    claim: Claim
    why: str


class Liveness:
    """Tells which runs' processes are dead.

    Args:
        url: of the store.
        owner: whose runs.
        newly_silent: is given runs whose processes were just seen dead; each once, unless what was seen is taken back.
        lease: seconds for which a counter must have stood still.
        idle: seconds between reads while nothing is known to run.
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
        self._observer = ProcessObserver(lease, lease / 2, lambda _host, _pid, _started: False)
        self._watched: dict[UUID, Claim] = {}
        self._verdicts: dict[UUID, _Verdict] = {}
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Watch, until cancelled."""
        try:
            while True:
                # Cleared before the read: what begins while it is under way asks for another.
                self._wake.clear()
                if await self._look():
                    await asyncio.sleep(self._lease / _READS_PER_LEASE)
                else:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(self._idle):
                            await self._wake.wait()
        finally:
            await self._connections.close()

    def silent(self, uid: UUID, claim: Claim) -> str | None:
        """Why the process of this claim, which has begun, is taken for dead; None while it is not."""
        if self._watched.get(uid) != claim:
            self._wake.set()
        verdict = self._verdicts.get(uid)
        return verdict.why if verdict is not None and verdict.claim == claim else None

    def judged(self, uid: UUID, run: Run) -> Run:
        """The run as observed, with what is known of its process."""
        if run.claim is None or not run.begun:
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
            self._watched.clear()
            self._verdicts.clear()
            return True
        answered = time.monotonic()
        # By their claims, which no process chooses: with another's id it could hide that one's death.
        runs: dict[UUID, UUID] = {row["claim"]: row["id"] for row in rows}
        deaths = self._observer.read(
            asked, answered, [Watched(row["claim"], "", None, 0, row["counter"]) for row in rows]
        )
        before = self._verdicts
        self._watched = {uid: Claim(claim) for claim, uid in runs.items()}
        self._verdicts = {runs[death.process]: _Verdict(Claim(death.process), death.detail) for death in deaths}
        if new := [uid for uid, verdict in self._verdicts.items() if before.get(uid) != verdict]:
            self._newly_silent(new)
        return bool(rows)
