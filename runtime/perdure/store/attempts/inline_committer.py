"""Checkpoints of sync steps that hold an event loop: it waits a moment for each, and a thread for as long as it takes.

The threads are few: one for each checkpoint that the store has not taken within its moment, and some that are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import Lock

from ...errors import StoreUnavailable
from ...owned_thread import Died, OwnedThread
from .checkpoint import Checkpoint, Settled
from .thread_committer import ThreadCommitter

__all__ = ["InlineCommit", "InlineCommitter"]

_KEPT = 4
"""Threads that wait for the next checkpoint."""


class InlineCommit:
    """A checkpoint on its way.

    Attributes:
        locked: whether it waits for another session's lock on the run's row.
    """

    __slots__ = ("_callback", "_gate", "_lock", "_settled", "checkpoint", "given_up", "locked")

    def __init__(self, checkpoint: Checkpoint, given_up: Callable[[], bool]) -> None:
        self.checkpoint = checkpoint
        self.given_up = given_up
        self.locked = False
        self._lock = Lock()
        self._gate = Lock()
        self._gate.acquire()
        self._settled: Settled | None = None
        self._callback: Callable[[], object] | None = None

    def wait(self, seconds: float) -> Settled | None:
        """What became of it; None if that is not known in time."""
        if self._gate.acquire(timeout=seconds):
            self._gate.release()
        return self._settled

    def then(self, callback: Callable[[], object]) -> None:
        """Call `callback` once the checkpoint is settled; the thread can be any."""
        with self._lock:
            if self._settled is None:
                self._callback = callback
                return
        callback()

    def note_lock(self) -> None:
        """The row turned out to be locked."""
        self.locked = True

    def settle(self, settled: Settled) -> None:
        """It has come to an end."""
        with self._lock:
            self._settled = settled
            callback = self._callback
        self._gate.release()
        if callback is not None:
            callback()


class InlineCommitter:
    """Commits in threads of its own, through a committer that others may use as well.

    Args:
        committer: stores the checkpoints.
        died: learns what ended a thread before its time.
    """

    def __init__(self, committer: ThreadCommitter, died: Died) -> None:
        self._committer = committer
        self._died = died
        self._lock = Lock()
        self._idle: list[SimpleQueue[InlineCommit]] = []

    def start(self, checkpoint: Checkpoint, given_up: Callable[[], bool]) -> InlineCommit:
        """Send a checkpoint on its way."""
        commit = InlineCommit(checkpoint, given_up)
        with self._lock:
            queue = self._idle.pop() if self._idle else None
        if queue is None:
            queue = SimpleQueue()
            OwnedThread(partial(self._work, queue), name="perdure-stores", died=self._died).start()
        queue.put(commit)
        return commit

    def _work(self, queue: SimpleQueue[InlineCommit]) -> None:
        while True:
            commit = queue.get()
            settled: Settled
            try:
                settled = self._committer.commit(commit.checkpoint, commit.given_up, commit.note_lock)
            except Exception as error:  # noqa: BLE001  the waiting thread must get it
                settled = StoreUnavailable(f"checkpoint {commit.checkpoint.key!r} could not be stored: {error!r}")
            commit.settle(settled)
            del commit, settled
            with self._lock:
                if len(self._idle) >= _KEPT:
                    return
                self._idle.append(queue)
