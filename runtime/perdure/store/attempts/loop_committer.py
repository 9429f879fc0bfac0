"""Checkpoints of the tasks of one event loop, committed together, on connections that the loop itself waits for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial

from ...errors import StoreChanged, StoreError, StoreUnavailable
from ...owned_thread import OwnedThread
from ..postgres.connection import Fault
from ..postgres.libpq import CHECKPOINT, CHECKPOINTS, Answered, LoopWire, Wire, WireError
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

__all__ = ["LoopCommitter"]

Callback = Callable[[Settled], None]


class LoopCommitter:
    """Commits for the tasks of one event loop, on connections that the loop itself waits for.

    Two connections take turns, so that one batch is on its way while the outcomes of the other are being used. A
    checkpoint whose row another session has locked is tried again after pauses, in statements that skip locked rows.
    """

    def __init__(self, opener: Opener, loop: asyncio.AbstractEventLoop, *, connections: int = 2) -> None:
        self.opener = opener
        self.loop = loop
        # One for each loop: a context can be entered by one thread at a time.
        self._outside = Context()
        self._lanes = [_BatchLane(self) for _ in range(connections)]
        self._queue: list[tuple[Checkpoint, Callback]] = []
        self._flush_due = False
        self._locked: list[tuple[Checkpoint, Callback]] = []
        self._locked_rounds = 0
        self.runs = 0
        """Runs in flight that commit here: with one, no other checkpoint is worth a wait."""

    def adopt(self, wire: Wire | None) -> None:
        """Commit on a connection that is open already; before the first commit."""
        if wire is None:
            return
        try:
            if not wire.pooled:
                wire.set_lock_timeout(LOCK_TIMEOUT)
        except WireError:
            wire.close()
        else:
            self._lanes[0].adopt(wire)

    def submit(self, checkpoint: Checkpoint, callback: Callback) -> None:
        """Store a checkpoint; `callback` learns in the loop what became of it."""
        self._queue.append((checkpoint, callback))
        if self._flush_due:
            return
        if self.runs <= 1:
            self.flush()
        else:
            # Tasks that the last answers made ready come to their next step in this same turn of the loop.
            self._flush_due = True
            self.loop.call_soon(self._flush_later, context=self._outside)

    def _flush_later(self) -> None:
        self._flush_due = False
        self.flush()

    def flush(self) -> None:
        """Send what waits, if a connection is free."""
        if not self._queue:
            return
        for lane in self._lanes:
            if not lane.busy:
                count = portion((checkpoint.size for checkpoint, _ in self._queue), MOST_TOGETHER)
                batch, self._queue = self._queue[:count], self._queue[count:]
                lane.send(batch)
                if not self._queue:
                    return

    def close(self) -> None:
        """Close the connections; checkpoints under way get no answer."""
        for lane in self._lanes:
            lane.close()

    def ask_again(self, checkpoint: Checkpoint, callback: Callback) -> None:
        """Try a checkpoint whose row was locked again after a pause, in which the others go on."""
        self._locked.append((checkpoint, callback))
        if len(self._locked) == 1:
            self._locked_rounds += 1
            # In a context of its own: by the loop's clock, not by that of the run whose outcome this is.
            Context().run(self.loop.call_later, LOCK_PAUSES.after(self._locked_rounds), self._ask_locked)

    def _ask_locked(self) -> None:
        lane = next((lane for lane in self._lanes if not lane.busy), None)
        if lane is None:
            Context().run(self.loop.call_later, LOCK_PAUSES.first, self._ask_locked)
            return
        count = portion((checkpoint.size for checkpoint, _ in self._locked), MOST_TOGETHER)
        batch, self._locked = self._locked[:count], self._locked[count:]
        if self._locked:
            Context().run(self.loop.call_later, LOCK_PAUSES.first, self._ask_locked)
        lane.send(batch, locked=True)

    def was_free(self) -> None:
        """A row that had been locked was free: others may be soon."""
        self._locked_rounds = 0

    def open_aside(
        self, opened: Callable[[Wire | StoreError], None], backoff: Backoff, failed: WireError | None
    ) -> None:
        """Connect in a thread: a server that is away must not hold the loop. After a failure, wait first."""

        def died(error: BaseException) -> None:
            self._tell(opened, StoreError(f"no connection could be opened: {error!r}"))

        OwnedThread(
            lambda: self._tell(opened, _connected(self.opener, backoff, failed)), name="perdure-connects", died=died
        ).start()

    def _tell(self, opened: Callable[[Wire | StoreError], None], answer: Wire | StoreError) -> None:
        """Hand the loop the new connection, or the error."""
        try:
            self.loop.call_soon_threadsafe(opened, answer, context=self._outside)
        except RuntimeError:
            if not self.loop.is_closed():
                raise
            # The loop has closed since, so the connection has no user any more.
            if not isinstance(answer, StoreError):
                answer.close()


def _connected(opener: Opener, backoff: Backoff, failed: WireError | None) -> Wire | StoreError:
    """A connection, once the store answers, or why there is none."""
    error = failed
    while True:
        if error is not None:
            delay = backoff.next()
            if delay is None or error.fault is Fault.UNUSABLE:
                return StoreUnavailable(f"the store does not answer: {error}")
            time.sleep(delay)
        try:
            return opener.open(LOCK_TIMEOUT)
        except StoreChanged as changed:
            return changed
        except WireError as again:
            error = again


class _BatchLane:
    """One connection of a `LoopCommitter`, and the batch under way on it."""

    def __init__(self, committer: LoopCommitter) -> None:
        self._committer = committer
        self._adopted: Wire | None = None
        self._wire: LoopWire | None = None
        self._batch: list[tuple[Checkpoint, Callback]] = []
        self._singly = False
        self._locked = False
        """Whether the rows of this batch were found locked before."""
        self._backoff: Backoff | None = None
        self.busy = False

    def adopt(self, wire: Wire) -> None:
        """Take over a connection, which the loop watches from its first call on."""
        self._adopted = wire

    def close(self) -> None:
        self.busy = True
        if self._adopted is not None:
            self._adopted.close()
            self._adopted = None
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def send(self, batch: list[tuple[Checkpoint, Callback]], *, locked: bool = False) -> None:
        self.busy = True
        self._batch = batch
        self._locked = locked
        if self._adopted is not None:
            adopted, self._adopted = self._adopted, None
            self._opened(adopted)
        elif self._wire is None:
            self._open(None)
        else:
            self._send()

    def _open(self, failed: WireError | None) -> None:
        self._backoff = self._backoff or Backoff(self._committer.opener.patience)
        self._committer.open_aside(self._opened, self._backoff, failed)

    def _opened(self, answer: Wire | StoreError) -> None:
        if isinstance(answer, Wire):
            self._wire = LoopWire(answer, self._committer.loop)
            self._send()
            return
        batch, self._batch = self._batch, []
        self._settle(batch, [answer] * len(batch))

    def _send(self) -> None:
        assert self._wire is not None
        if len(self._batch) > 1 and not self._singly:
            parameters = batch_parameters([c for c, _ in self._batch])
            self._wire.send(CHECKPOINTS, parameters, partial(self._take, self._many_answered))
        elif self._locked or (self._wire.pooled and self._committer.runs > 1):
            # A batch passes over a locked row; through a pooler no timeout of ours holds.
            parameters = batch_parameters([self._batch[0][0]])
            self._wire.send(CHECKPOINTS, parameters, partial(self._take, self._passed_or_answered))
        else:
            self._send_one()

    def _send_one(self) -> None:
        assert self._wire is not None
        self._wire.send(CHECKPOINT, self._batch[0][0].parameters(), partial(self._take, self._one_answered))

    def _take(self, answered: Answered, answer: list[list[bytes | None]] | WireError) -> None:
        try:
            answered(answer)
        except Exception as error:  # noqa: BLE001 those of the batch wait, and the loop would only log it
            batch, self._batch = self._batch, []
            failed = StoreError(f"what the store answered to checkpoints cannot be used: {error!r}")
            self._settle(batch, [failed] * len(batch))

    def _passed_or_answered(self, answer: list[list[bytes | None]] | WireError) -> None:
        if isinstance(answer, WireError) and answer.fault is Fault.SINGLY:
            self._send_one()
        elif isinstance(answer, WireError):
            self._one_answered(answer)
        else:
            [settled] = answers_of(answer[0][0])
            self._one_answered([[b"%d" % settled]])

    def _many_answered(self, answer: list[list[bytes | None]] | WireError) -> None:
        if isinstance(answer, WireError):
            # Each alone finds the exact cause: a poisoned value, a step stored before, a lost connection.
            self._singly = True
            self._again(answer)
            return
        batch, self._batch = self._batch, []
        self._settle(batch, list(answers_of(answer[0][0])))

    def _one_answered(self, answer: list[list[bytes | None]] | WireError) -> None:
        settled: Settled | None
        if isinstance(answer, WireError):
            settled = Answer.LOCKED if answer.fault is Fault.LOCKED else settled_by(answer)
            if settled is None:
                self._again(answer)
                return
        else:
            settled = answer_of(answer[0][0])
        first = self._batch.pop(0)
        self._settle([first], [settled])

    def _again(self, error: WireError) -> None:
        if error.fault is Fault.AWAY:
            if self._wire is not None:
                self._wire.close()
                self._wire = None
            self._open(error)
        else:
            self._send()

    def _settle(self, batch: list[tuple[Checkpoint, Callback]], answers: Sequence[Settled]) -> None:
        self._backoff = None
        if self._locked and any(settled is not Answer.LOCKED for settled in answers):
            self._committer.was_free()
        if self._batch:
            self._send()
        else:
            self._singly = self._locked = False
            self.busy = False
            # Those who came meanwhile go out before the outcomes of this batch are used.
            self._committer.flush()
        for (checkpoint, callback), settled in zip(batch, answers, strict=True):
            if settled is Answer.LOCKED:
                self._committer.ask_again(checkpoint, callback)
            else:
                self._tell(callback, settled)

    def _tell(self, callback: Callback, settled: Settled) -> None:
        try:
            callback(settled)
        except Exception as error:  # noqa: BLE001 the others of the batch wait for their answers
            said = "a stored outcome could not be delivered"
            self._committer.loop.call_exception_handler({"message": said, "exception": error})
