"""Checkpoints, committed together where several wait: one statement for all that came while the last was under way.

A lone checkpoint pays nothing for it: no timer, no other thread. A batch that fails is retried one by one; a run whose
row is locked waits aside. A lost answer is asked for again: the store knows each write by its attempt and ordinal.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextvars import Context
from dataclasses import dataclass
from enum import IntEnum
from threading import Lock, Thread

from ..errors import StoreChanged, StoreError, StoreUnavailable, ValueNotStorable
from .connection import Fault
from .wire import CHECKPOINT, CHECKPOINTS, LoopWire, Parameters, Wire, WireError

__all__ = ["Answer", "Backoff", "Checkpoint", "LoopCommitter", "Opener", "Recorded", "Settled", "ThreadCommitter"]

_LOCK_TIMEOUT = 100
"""Milliseconds that a checkpoint may wait for a lock where others wait behind it."""


class Answer(IntEnum):
    """What the store says to a write."""

    DONE = 0
    DONE_BEFORE = 1
    KEY_TAKEN = 2
    SUPERSEDED = 3
    GONE = 4
    SERVER_CHANGED = 5
    LOCKED = 6
    BEGUN_ELSEWHERE = 7
    CLIENT_TOO_OLD = 8


@dataclass(slots=True, eq=False)
class Checkpoint:
    """One step's outcome on its way to the store; ids and numbers as the wire takes them."""

    run: bytes
    claim: bytes
    key: str
    ordinal: int
    name: str
    tries: int
    clock: int
    micros: int
    result: str | None
    error: str | None

    def parameters(self) -> Parameters:
        """The parameters of the function `checkpoint`."""
        result, error = self.result, self.error
        return (
            self.run,
            self.claim,
            self.key.encode(),
            b"%d" % self.ordinal,
            self.name.encode(),
            b"%d" % self.tries,
            b"%d" % self.clock,
            b"%d" % self.micros,
            None if result is None else result.encode(),
            None if error is None else error.encode(),
        )


@dataclass(slots=True, eq=False)
class Recorded:
    """One checkpoint: a result, an error, or neither (a step that workflow code cancelled). `clock` in microseconds."""

    key: str
    ordinal: int
    attempt: int
    tries: int
    clock: int
    result: str | None
    error: str | None
    consumed: bool = False

    @property
    def cancelled(self) -> bool:
        return self.result is None and self.error is None


Settled = Answer | StoreError | ValueNotStorable


def _quoted(values: list[str | None]) -> bytes:
    parts = []
    for value in values:
        if value is None:
            parts.append("NULL")
        else:
            parts.append('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"')
    return ("{" + ",".join(parts) + "}").encode()


def _batch(checkpoints: Sequence[Checkpoint]) -> Parameters:
    """The parameters of the function `checkpoints`, as Postgres array literals."""
    return (
        b"{" + b",".join([c.run for c in checkpoints]) + b"}",
        b"{" + b",".join([c.claim for c in checkpoints]) + b"}",
        _quoted([c.key for c in checkpoints]),
        b"{" + b",".join([b"%d" % c.ordinal for c in checkpoints]) + b"}",
        _quoted([c.name for c in checkpoints]),
        b"{" + b",".join([b"%d" % c.tries for c in checkpoints]) + b"}",
        b"{" + b",".join([b"%d" % c.clock for c in checkpoints]) + b"}",
        b"{" + b",".join([b"%d" % c.micros for c in checkpoints]) + b"}",
        _quoted([c.result for c in checkpoints]),
        _quoted([c.error for c in checkpoints]),
    )


def _answers(value: bytes | None) -> list[Answer]:
    return [Answer(int(part)) for part in (value or b"{}")[1:-1].split(b",")]


def _permanent(error: WireError) -> Settled | None:
    """What an error settles, if asking again cannot help."""
    if error.fault is Fault.REFUSED:
        return ValueNotStorable(f"Postgres refuses the value: {error}")
    if error.fault is Fault.UNUSABLE:
        return StoreError(f"the store refuses a checkpoint ({error}); is its schema there, and may this role use it?")
    return None


class Backoff:
    """Delays between tries while the store is away: short at first, a second at most, with jitter."""

    def __init__(self, patience: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = None if patience is None else clock() + patience
        self._delay = 0.02

    def next(self) -> float | None:
        """Seconds to wait before the next try; None when patience is over."""
        if self._until is not None and self._clock() >= self._until:
            return None
        delay = self._delay * random.uniform(0.5, 1.0)
        self._delay = min(1.0, self._delay * 2)
        return delay


class Opener:
    """Opens connections to one database system, and to no other that may answer at the same address later."""

    def __init__(self, url: str, *, system: str | None = None, patience: float | None = 600.0) -> None:
        self.url = url
        self.system = system
        self.patience = patience

    def open(self, lock_timeout: int | None = None) -> Wire:
        """A connection.

        Raises:
            WireError: there is none to be had now.
            StoreChanged: another database system answers.
        """
        wire = Wire(self.url, lock_timeout=lock_timeout)
        try:
            found = wire.system_identifier()
            if self.system is None:
                self.system = found
            elif found != self.system:
                raise StoreChanged(f"database system {found} answers where {self.system} did; this attempt ends")
        except BaseException:
            wire.close()
            raise
        return wire


class _Waiting:
    """A checkpoint whose thread waits for whoever holds the connection."""

    __slots__ = ("batch", "checkpoint", "gate", "given_up", "settled")

    def __init__(self, checkpoint: Checkpoint, given_up: Callable[[], bool]) -> None:
        self.checkpoint = checkpoint
        self.given_up = given_up
        self.settled: Settled | None = None
        self.batch: list[_Waiting] = []
        self.gate = Lock()
        self.gate.acquire()


class ThreadCommitter:
    """Commits for threads: whoever comes first holds the connection, and those who come meanwhile go together next."""

    def __init__(self, opener: Opener, *, alone: bool = True) -> None:
        self._opener = opener
        self._lock_timeout = None if alone else _LOCK_TIMEOUT
        self._lock = Lock()
        self._held = False
        self._queue: list[_Waiting] = []
        self._wire: Wire | None = None
        self._closed = False

    @property
    def opener(self) -> Opener:
        """Opens the connections on which this commits."""
        return self._opener

    def close(self) -> None:
        """End the connection, once nobody holds it."""
        with self._lock:
            self._closed = True
            wire, self._wire = (None, self._wire) if self._held else (self._wire, None)
        if wire is not None:
            wire.close()

    def commit(self, checkpoint: Checkpoint, given_up: Callable[[], bool] = lambda: False) -> Settled:
        """Store a checkpoint; waits while the store is away, until patience is over or `given_up` says so."""
        with self._lock:
            if self._held:
                waiting = _Waiting(checkpoint, given_up)
                self._queue.append(waiting)
            else:
                self._held = True
                waiting = None
        settled: Settled | None
        if waiting is None:
            try:
                settled = self._one(checkpoint, given_up)
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
        # Each waits for a lock in its own thread: whoever commits for others goes on with them.
        return self._aside(checkpoint, given_up) if settled is Answer.LOCKED else settled

    def _pass_on(self) -> None:
        with self._lock:
            queue, self._queue = self._queue, []
            if not queue:
                self._held = False
                return
        queue[0].batch = queue
        queue[0].gate.release()

    def _many(self, batch: list[_Waiting]) -> None:
        try:
            answers: list[Answer] = []
            if len(batch) > 1:
                try:
                    answers = _answers(self._connected().scalar(CHECKPOINTS, _batch([w.checkpoint for w in batch])))
                except (WireError, StoreChanged) as error:
                    self._drop(error)
            for n, waiting in enumerate(batch):
                waiting.settled = answers[n] if answers else self._one(waiting.checkpoint, waiting.given_up)
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

    def _one(self, checkpoint: Checkpoint, given_up: Callable[[], bool]) -> Settled:
        backoff: Backoff | None = None
        while True:
            try:
                return Answer(int(self._connected().scalar(CHECKPOINT, checkpoint.parameters()) or 0))
            except StoreChanged as error:
                return error
            except WireError as error:
                self._drop(error)
                if (settled := _permanent(error)) is not None:
                    return settled
                if error.fault is Fault.LOCKED:
                    if self._lock_timeout is not None:
                        return Answer.LOCKED
                    if given_up():
                        return StoreUnavailable(f"checkpoint {checkpoint.key!r} waited for a lock: {error}")
                    # A lock_timeout of the role, or one that another client left behind in a pooler.
                    time.sleep(0.05)
                    continue
                backoff = backoff or Backoff(self._opener.patience)
                delay = backoff.next()
                if delay is None or given_up():
                    return StoreUnavailable(f"checkpoint {checkpoint.key!r} could not be stored: {error}")
                time.sleep(delay)

    def _aside(self, checkpoint: Checkpoint, given_up: Callable[[], bool]) -> Settled:
        """Wait for a lock on a connection of one's own, while others use ours."""
        own = ThreadCommitter(self._opener)
        try:
            return own.commit(checkpoint, given_up)
        finally:
            own.close()

    def _connected(self) -> Wire:
        if self._wire is None:
            self._wire = self._opener.open(self._lock_timeout)
        return self._wire

    def _drop(self, error: WireError | StoreChanged) -> None:
        if self._wire is not None and isinstance(error, WireError) and error.fault is Fault.AWAY:
            self._wire.close()
            self._wire = None


Callback = Callable[[Settled], None]


class LoopCommitter:
    """Commits for the tasks of one event loop, on connections that the loop itself waits for.

    Two connections take turns, so that one batch is on its way while the outcomes of the other are being used.
    """

    def __init__(
        self, opener: Opener, loop: asyncio.AbstractEventLoop, aside: Executor, *, connections: int = 2
    ) -> None:
        self.opener = opener
        self.loop = loop
        self._aside_executor = aside
        # One for each loop: a context can be entered by one thread at a time.
        self._outside = Context()
        self._lanes = [_BatchLane(self) for _ in range(connections)]
        self._queue: list[tuple[Checkpoint, Callback]] = []
        self._flush_due = False
        self.runs = 0
        """Runs in flight that commit here: with one, there is nobody to wait for."""

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
                batch, self._queue = self._queue[:512], self._queue[512:]
                lane.send(batch)
                if not self._queue:
                    return

    def close(self) -> None:
        """End the connections; what is under way gets no answer."""
        for lane in self._lanes:
            lane.close()

    def settle_aside(self, checkpoint: Checkpoint, callback: Callback) -> None:
        """Wait for one run's lock, or for the store, in a thread, while the others go on."""

        def wait() -> None:
            own = ThreadCommitter(self.opener)
            try:
                settled: Settled = own.commit(checkpoint)
            finally:
                own.close()
            self.loop.call_soon_threadsafe(callback, settled, context=self._outside)

        self._aside_executor.submit(wait)

    def open_aside(
        self, opened: Callable[[Wire | StoreError], None], backoff: Backoff, failed: WireError | None
    ) -> None:
        """Connect in a thread: a server that is away must not hold the loop. After a failure, wait first."""

        def connect() -> None:
            error = failed
            answer: Wire | StoreError
            while True:
                if error is not None:
                    delay = backoff.next()
                    if delay is None or error.fault is Fault.UNUSABLE:
                        answer = StoreUnavailable(f"the store does not answer: {error}")
                        break
                    time.sleep(delay)
                try:
                    answer = self.opener.open(_LOCK_TIMEOUT)
                    break
                except StoreChanged as changed:
                    answer = changed
                    break
                except WireError as again:
                    error = again
            self.loop.call_soon_threadsafe(opened, answer, context=self._outside)

        # Not in the executor, all of whose threads may be waiting for locks.
        Context().run(Thread(target=connect, name="perdure-connects", daemon=True).start)


class _BatchLane:
    """One connection of a `LoopCommitter`, and the batch under way on it."""

    def __init__(self, committer: LoopCommitter) -> None:
        self._committer = committer
        self._wire: LoopWire | None = None
        self._batch: list[tuple[Checkpoint, Callback]] = []
        self._singly = False
        self._backoff: Backoff | None = None
        self.busy = False

    def close(self) -> None:
        self.busy = True
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def send(self, batch: list[tuple[Checkpoint, Callback]]) -> None:
        self.busy = True
        self._batch = batch
        if self._wire is None:
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
        if len(self._batch) == 1 or self._singly:
            self._wire.send(CHECKPOINT, self._batch[0][0].parameters(), self._one_answered)
        else:
            self._wire.send(CHECKPOINTS, _batch([c for c, _ in self._batch]), self._many_answered)

    def _many_answered(self, answer: list[list[bytes | None]] | WireError) -> None:
        if isinstance(answer, WireError):
            # Whatever it was, each alone finds out exactly: a poisoned value, a step stored before, a lost connection.
            self._singly = True
            self._again(answer)
            return
        batch, self._batch = self._batch, []
        self._settle(batch, list(_answers(answer[0][0])))

    def _one_answered(self, answer: list[list[bytes | None]] | WireError) -> None:
        settled: Settled | None
        if isinstance(answer, WireError):
            settled = Answer.LOCKED if answer.fault is Fault.LOCKED else _permanent(answer)
            if settled is None:
                self._again(answer)
                return
        else:
            settled = Answer(int(answer[0][0] or 0))
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
        if self._batch:
            self._send()
        else:
            self._singly = False
            self.busy = False
            # Those who came meanwhile go out before the outcomes of this batch are used.
            self._committer.flush()
        for (checkpoint, callback), settled in zip(batch, answers, strict=True):
            if settled is Answer.LOCKED:
                self._committer.settle_aside(checkpoint, callback)
            else:
                callback(settled)
