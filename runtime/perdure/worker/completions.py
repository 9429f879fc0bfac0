"""Writes the ends of runs, many in one statement: all that ended while the last one was under way. In one thread.

Endings wait for a store that is away, up to ten minutes. A run whose row is locked, or whose outcome the store refuses,
holds up no other: it is tried again in the statements that follow, and a session that locks it for a lease is ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from ..attempt_results import Failed, Succeeded
from ..errors import StoreError, StoreUnavailable, ValueNotStorable
from ..owned_thread import Died, OwnedThread
from ..pauses import Pauses
from ..store.attempts.checkpoint import Answer
from ..store.postgres.opener import Backoff
from ..store.postgres.portions import portion
from ..store.workers.completions import Completion, CompletionStore, RowLocked
from .lock_breaker import LockBreaker

__all__ = ["CompletionWriter", "Settled"]

_log = logging.getLogger("perdure.worker")

Settled = Callable[[Answer | None], None]
"""Gets the store's answer; None where there is none. Called in any thread."""

_MOST = 500
PATIENCE = 600.0

_LOCKED = Pauses(0.05, 0.5)
"""Between questions whether locked rows are free."""


@dataclass(slots=True)
class _Submitted:
    completion: Completion
    settled: Settled
    locked_since: float | None = None


class CompletionWriter:
    """Writes endings in the order in which they are submitted.

    Args:
        store: where to.
        lease: seconds for which a lock is waited for before its holder is ended.
        breaker: ends who keeps rows locked.
        died: learns what ended the thread before its time.
    """

    def __init__(self, store: CompletionStore, lease: float, breaker: LockBreaker, died: Died) -> None:
        self._store = store
        self._lease = lease
        self._breaker = breaker
        self._died = died
        self._queue: list[_Submitted] = []
        self._locked: list[_Submitted] = []
        self._rounds = 0
        self._next_round = 0.0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._close_at = 0.0
        self._thread: OwnedThread | None = None

    def submit(self, completion: Completion, settled: Settled) -> None:
        """Write an ending; from any thread."""
        with self._changed:
            self._queue.append(_Submitted(completion, settled))
            if self._thread is None:
                self._thread = OwnedThread(self._work, name="perdure-worker-endings", died=self._died).start()
            self._changed.notify()

    def close(self, timeout: float) -> None:
        """Write all submitted ends, in one try if the store is away, and end; locked rows are waited for as long."""
        self._close_at = time.monotonic() + timeout
        self._closing.set()
        with self._changed:
            thread = self._thread
            self._changed.notify()
        if thread is not None:
            thread.join(timeout)

    def _work(self) -> None:
        try:
            while batch := self._next():
                self._write(batch)
                # Nothing of it is held while there is nothing to do.
                del batch
        finally:
            self._store.close()

    def _next(self) -> list[_Submitted]:
        """What to write now; nothing when all is written and this is to end."""
        with self._changed:
            while True:
                now = time.monotonic()
                if self._locked and now >= self._next_round:
                    self._queue = self._locked + self._queue
                    self._locked = []
                if self._queue:
                    count = portion((one.completion.size for one in self._queue), _MOST)
                    batch, self._queue = self._queue[:count], self._queue[count:]
                    return batch
                if self._closing.is_set() and (not self._locked or now >= self._close_at):
                    return []
                self._changed.wait(self._next_round - now if self._locked else None)

    def _write(self, batch: list[_Submitted]) -> None:
        try:
            answers = self._asked([one.completion for one in batch])
        except RowLocked:
            if len(batch) > 1:
                self._singly(batch)
            else:
                self._wait_for_lock(batch[0])
        except StoreUnavailable as error:
            _log.error("%d runs have ended, but their ends cannot be stored: %s", len(batch), error)
            for one in batch:
                one.settled(None)
        except StoreError as error:
            if len(batch) > 1:
                self._singly(batch)
            else:
                self._refused(batch[0].completion, batch[0].settled, error)
        else:
            for one, answer in zip(batch, answers, strict=True):
                if answer is Answer.LOCKED:
                    self._wait_for_lock(one)
                else:
                    one.settled(answer)

    def _singly(self, batch: list[_Submitted]) -> None:
        for one in batch:
            self._write([one])

    def _asked(self, completions: list[Completion]) -> list[Answer]:
        backoff = Backoff(PATIENCE)
        while True:
            try:
                return self._store.write(completions)
            except StoreUnavailable:
                delay = backoff.next()
                if delay is None or self._closing.wait(delay):
                    raise

    def _wait_for_lock(self, one: _Submitted) -> None:
        now = time.monotonic()
        if one.locked_since is None:
            one.locked_since = now
        elif now - one.locked_since >= self._lease:
            self._breaker.submit(one.completion.claim, partial(self._force, one.completion))
        if not self._locked:
            self._rounds = self._rounds + 1 if now - self._next_round < 1.0 else 1
            self._next_round = now + _LOCKED.after(self._rounds)
        self._locked.append(one)

    def _force(self, completion: Completion) -> None:
        """Write an ending, and end the session that keeps its row locked. The next statement finds out the result."""
        try:
            self._store.write_patiently(completion, waited=self._lease)
        except StoreError as error:
            _log.error("run %s has ended, and the store does not take it: %s", completion.run, error)

    def _refused(self, completion: Completion, settled: Settled, error: StoreError) -> None:
        if isinstance(completion.end, Succeeded):
            # A result that the store refuses is a failure of the workflow; without a result the store takes it.
            failed = Failed.of(ValueNotStorable(str(error)))
            self._write([_Submitted(replace(completion, end=failed), settled)])
            return
        _log.error("run %s has ended, and the store does not take it: %s", completion.run, error)
        settled(None)
