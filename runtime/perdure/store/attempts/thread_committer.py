"""Checkpoints of threads, committed together where several wait.

Checkpoints that arrive while a statement is under way go in the next one.

A lone checkpoint pays nothing for it: no timer, no other thread. A batch that fails is retried one by one; a checkpoint
of a run whose row is locked is tried again after pauses, in statements that skip locked rows. A write whose answer was
lost is repeated: the store knows each write by its attempt and ordinal.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from ...errors import StoreChanged, StoreUnavailable
from ..postgres.connection import Fault
from ..postgres.libpq import CHECKPOINT, CHECKPOINTS, Wire, WireError
from ..postgres.opener import Backoff, Opener
from ..postgres.portions import portion
from .checkpoint import (
    LOCK_PAUSES,
    LOCK_TIMEOUT,
    MOST_TOGETHER,
    Answer,
    Checkpoint,
    Settled,
    answer_of,
    answers_of,
    batch_parameters,
    settled_by,
)

__all__ = ["ThreadCommitter"]


class _Waiting:
    """A checkpoint whose thread waits for the thread that holds the connection."""

    __slots__ = ("batch", "checkpoint", "gate", "given_up", "locked", "settled")

    def __init__(self, checkpoint: Checkpoint, given_up: Callable[[], bool], *, locked: bool) -> None:
        self.checkpoint = checkpoint
        self.given_up = given_up
        self.locked = locked
        """Whether its row was found locked."""
        self.settled: Settled | None = None
        self.batch: list[_Waiting] = []
        self.gate = Lock()
        self.gate.acquire()


class ThreadCommitter:
    """Commits for threads: the first one holds the connection, and those that come meanwhile go together next."""

    def __init__(self, opener: Opener, *, alone: bool = True) -> None:
        self.opener = opener
        """Opens the connections on which this commits."""
        self._lock_timeout = None if alone else LOCK_TIMEOUT
        self._lock = Lock()
        self._held = False
        self._queue: list[_Waiting] = []
        self._wire: Wire | None = None
        self._closed = False

    def adopt(self, wire: Wire | None) -> None:
        """Commit on a connection that is open already; before the first commit."""
        self._wire = wire

    def release(self) -> Wire | None:
        """As `close`, but hand the connection over to the caller, if no thread holds it."""
        with self._lock:
            self._closed = True
            wire, self._wire = (None, self._wire) if self._held else (self._wire, None)
            return wire

    def close(self) -> None:
        """Close the connection once no thread holds it."""
        with self._lock:
            self._closed = True
            if not self._held:
                self._end()

    def _end(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    def commit(
        self,
        checkpoint: Checkpoint,
        given_up: Callable[[], bool] = lambda: False,
        on_lock: Callable[[], object] = lambda: None,
    ) -> Settled:
        """Store a checkpoint; waits while the store is away, until patience is over or `given_up` returns true.

        `on_lock` is called where it waits for another session's lock.
        """
        settled = self._commit(checkpoint, given_up, locked=False)
        rounds = 0
        while settled is Answer.LOCKED:
            on_lock()
            if given_up():
                return StoreUnavailable(f"checkpoint {checkpoint.key!r} waited for a lock on its run")
            rounds += 1
            time.sleep(LOCK_PAUSES.after(rounds))
            settled = self._commit(checkpoint, given_up, locked=True)
        return settled

    def _commit(self, checkpoint: Checkpoint, given_up: Callable[[], bool], *, locked: bool) -> Settled:
        with self._lock:
            if self._held:
                waiting = _Waiting(checkpoint, given_up, locked=locked)
                self._queue.append(waiting)
            else:
                self._held = True
                waiting = None
        settled: Settled | None
        if waiting is None:
            try:
                settled = self._one(checkpoint, given_up, locked=locked)
            finally:
                self._pass_on()
        else:
            waiting.gate.acquire()
            if waiting.batch:
                try:
                    self._many(waiting.batch)
                finally:
                    self._pass_on()
            settled = waiting.settled
        assert settled is not None
        return settled

    def _pass_on(self) -> None:
        with self._lock:
            if not self._queue:
                self._held = False
                if self._closed:
                    self._end()
                return
            count = portion((waiting.checkpoint.size for waiting in self._queue), MOST_TOGETHER)
            batch, self._queue = self._queue[:count], self._queue[count:]
        batch[0].batch = batch
        batch[0].gate.release()

    def _many(self, batch: list[_Waiting]) -> None:
        try:
            answers: list[Answer] = []
            if len(batch) > 1:
                try:
                    answers = answers_of(
                        self._connected().scalar(CHECKPOINTS, batch_parameters([w.checkpoint for w in batch]))
                    )
                except (WireError, StoreChanged) as error:
                    self._drop(error)
            for n, waiting in enumerate(batch):
                waiting.settled = (
                    answers[n] if answers else self._one(waiting.checkpoint, waiting.given_up, locked=waiting.locked)
                )
                if n:
                    waiting.gate.release()
        except BaseException as error:
            for waiting in batch:
                if waiting.settled is None:
                    waiting.settled = StoreUnavailable(
                        f"the thread that wrote checkpoints for others was stopped: {error!r}"
                    )
                    if waiting is not batch[0]:
                        waiting.gate.release()
            raise

    def _ask(self, checkpoint: Checkpoint, *, locked: bool) -> Answer:
        wire = self._connected()
        if self._lock_timeout is not None and (wire.pooled or locked):
            # A batch passes over a locked row; through a pooler no timeout of ours holds.
            try:
                return answers_of(wire.scalar(CHECKPOINTS, batch_parameters([checkpoint])))[0]
            except WireError as error:
                if error.fault is not Fault.SINGLY:
                    raise
        return answer_of(wire.scalar(CHECKPOINT, checkpoint.parameters()))

    def _one(self, checkpoint: Checkpoint, given_up: Callable[[], bool], *, locked: bool) -> Settled:
        backoff: Backoff | None = None
        while True:
            try:
                return self._ask(checkpoint, locked=locked)
            except StoreChanged as error:
                return error
            except WireError as error:
                self._drop(error)
                if (settled := settled_by(error)) is not None:
                    return settled
                if error.fault is Fault.LOCKED:
                    if self._lock_timeout is not None:
                        return Answer.LOCKED
                    if given_up():
                        return StoreUnavailable(f"checkpoint {checkpoint.key!r} waited for a lock: {error}")
                    # A lock_timeout of the role, or one that another client left behind in a pooler.
                    time.sleep(0.05)
                    continue
                backoff = backoff or Backoff(self.opener.patience)
                delay = backoff.next()
                if delay is None or given_up():
                    return StoreUnavailable(f"checkpoint {checkpoint.key!r} could not be stored: {error}")
                time.sleep(delay)

    def _connected(self) -> Wire:
        if self._wire is None:
            self._wire = self.opener.open(self._lock_timeout)
        return self._wire

    def _drop(self, error: WireError | StoreChanged) -> None:
        if isinstance(error, WireError) and error.fault is Fault.AWAY:
            self._end()
