"""Giving back the runs of one dead process, in rounds.

Each round skips rows that another session has locked: a thousand of them hold up no other run. A session that keeps
one locked for a lease is ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from uuid import UUID

from ...errors import StoreUnavailable
from ...names import Claim, RunId
from ...pauses import Pauses
from .processes import ProcessEnd, ProcessStore

__all__ = ["Release"]

_log = logging.getLogger("perdure.store")

_PAUSES = Pauses(0.05, 0.5)


class Release:
    """The runs of one dead process on their way to others.

    Args:
        store: where.
        process: the dead one's id.
        how: it ended.
        lease: seconds for which a lock is waited for before its holder is ended.
        clock: seconds that only ever grow.
    """

    def __init__(
        self,
        store: ProcessStore,
        process: UUID,
        how: ProcessEnd,
        *,
        lease: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._process = process
        self._lease = lease
        self._clock = clock
        self._locked: dict[tuple[RunId, Claim], float] = {}
        self._rounds = 0
        self.how = how
        self.count = 0
        """Runs given back so far."""

    def round(self) -> bool:
        """Give back the runs whose rows are not locked. Whether that was the last of them.

        Raises:
            StoreUnavailable: no answer.
            StoreError: the store refuses.
        """
        released = self._store.release(self._process, self.how)
        now = self._clock()
        self.count += released.count
        self._rounds += 1
        self._locked = {one: self._locked.get(one, now) for one in released.left}
        return not self._locked

    def pause(self) -> float:
        """Seconds until the next round."""
        return _PAUSES.after(self._rounds)

    def overdue(self) -> list[tuple[RunId, Claim]]:
        """The runs whose rows have been locked for a lease."""
        now = self._clock()
        return [one for one, since in self._locked.items() if now - since >= self._lease]

    def force(self, run: RunId, claim: Claim) -> None:
        """Give back a run whose row has been locked for a lease, and end who holds it; from any thread.

        Raises:
            StoreError: the store does not answer, or refuses.
        """
        try:
            self._store.release_locked(run, claim, self.how, waited=self._lease)
        except StoreUnavailable as error:
            # The next rounds look whether it is free.
            _log.warning("a run of a dead process is not released yet: %s", error)

    def finish(self) -> int:
        """Give back all of them. Returns how many they were.

        Raises:
            StoreUnavailable: no answer, or rows are still locked after four leases; this may be called again.
            StoreError: the store refuses.
        """
        until = self._clock() + 4 * self._lease
        while not self.round():
            for run, claim in self.overdue():
                self.force(run, claim)
            if self._clock() >= until:
                raise StoreUnavailable(f"{len(self._locked)} runs of a dead process are locked, and stay so")
            time.sleep(self.pause())
        return self.count
