"""Gives back the runs of other processes that were seen dead, in a thread of its own, all of them side by side."""

from __future__ import annotations

import logging
import threading
from functools import partial
from uuid import UUID

from ..errors import StoreError
from ..names import Claim, RunId
from ..owned_thread import Died, OwnedThread
from ..process.liveness import Death
from ..store.workers.processes import ProcessEnd, ProcessStore
from ..store.workers.release import Release
from .lock_breaker import LockBreaker

__all__ = ["Takeover"]

_log = logging.getLogger("perdure.worker")


class Takeover:
    """The dead processes whose runs are on their way to others.

    Args:
        url: of the store.
        lease: seconds.
        breaker: ends who keeps rows locked.
        died: learns what ended the thread before its time.
    """

    def __init__(self, url: str, lease: float, breaker: LockBreaker, died: Died) -> None:
        self._lease = lease
        self._store = ProcessStore(url, lease)
        self._breaker = breaker
        self._died = died
        self._changed = threading.Condition()
        self._releases: dict[UUID, Release] = {}
        self._thread: OwnedThread | None = None
        self._stopped = False

    def dead(self, death: Death) -> None:
        """A process was seen dead, perhaps again; from any thread."""
        with self._changed:
            if self._stopped or death.process in self._releases:
                return
            ended = ProcessEnd(death.ending, death.detail, death.counter)
            self._releases[death.process] = Release(self._store, death.process, ended, lease=self._lease)
            if self._thread is None:
                self._thread = OwnedThread(self._work, name="perdure-takeover", died=self._died).start()
            self._changed.notify()

    def stop(self, timeout: float) -> None:
        """Begin no further round, and end the connection."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self) -> None:
        try:
            while releases := self._next():
                pause = self._rounds(releases)
                del releases
                with self._changed:
                    if pause and not self._stopped:
                        self._changed.wait(pause)
        finally:
            self._store.close()

    def _rounds(self, releases: dict[UUID, Release]) -> float:
        """One for each. Returns seconds until the next ones."""
        for process, release in releases.items():
            if self._round(release):
                with self._changed:
                    del self._releases[process]
        return min((release.pause() for release in self._releases.values()), default=0.0)

    def _next(self) -> dict[UUID, Release]:
        with self._changed:
            if not self._releases:
                # The next death may be a long time off.
                self._store.close()
            while not self._releases and not self._stopped:
                self._changed.wait()
            return {} if self._stopped else dict(self._releases)

    def _round(self, release: Release) -> bool:
        """Whether there is nothing more to be done; a process that still holds runs is seen dead again."""
        try:
            done = release.round()
        except StoreError as error:
            _log.warning("the runs of a dead process are not released yet: %s", error)
            return True
        for run, claim in release.overdue():
            self._breaker.submit((run, claim), partial(self._force, release, run, claim))
        if done and release.count:
            _log.warning("%d runs are released: %s", release.count, release.how.detail)
        return done

    @staticmethod
    def _force(release: Release, run: RunId, claim: Claim) -> None:
        try:
            release.force(run, claim)
        except StoreError as error:
            _log.warning("run %s of a dead process cannot be released: %s", run, error)
