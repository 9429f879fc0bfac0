"""Outcomes of sync steps in an async workflow that the workflow uses before they are in the store.

Such a step holds the loop that its run shares with other runs, and the workflow uses its outcome at once. If the store
does not take the outcome within a moment (another session locks the run's row, or the store is slow or away), the loop
goes on without waiting. Until the outcome is stored, no step's body of the run begins, no later outcome of the run is
stored, and the run does not end. So after a crash the run is as if the step were still in flight.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from ...errors import ControlSignal, Released, ValueNotStorable
from ...store.attempts.checkpoint import CallKind
from ..order.outcome import Outcome, refused

if TYPE_CHECKING:
    from ...definitions import StepDefinition
    from ...store.attempts.inline_committer import InlineCommit, InlineCommitter
    from .attempt import Attempt

__all__ = ["Unstored"]

_MOMENT = 0.02
"""Seconds that the loop waits for the store to take an outcome."""

_LOCKED = 0.25
"""Seconds for which a sync step holds the loop until the outcome before it is stored, if the run's row is locked."""


@dataclass(slots=True, eq=False)
class _Used:
    step: StepDefinition
    key: str
    outcome: Outcome
    started: int


class Unstored:
    """The outcomes of one attempt that are not stored yet, in order. Only the first has been sent to the store."""

    __slots__ = ("_attempt", "_commit", "_committer", "_gates", "_lock", "_queue", "_refusal", "_then", "_waiters")

    def __init__(self, attempt: Attempt, committer: InlineCommitter) -> None:
        self._attempt = attempt
        self._committer = committer
        self._queue: deque[_Used] = deque()
        self._commit: InlineCommit | None = None
        self._refusal: ValueNotStorable | None = None
        self._then: list[Callable[[], object]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._gates: list[Lock] = []
        self._lock = Lock()

    @property
    def pending(self) -> bool:
        """Whether an outcome is not stored yet."""
        return bool(self._queue)

    # In the loop's thread.

    def store(self, step: StepDefinition, key: str, outcome: Outcome, started: int) -> bool:
        """Store an outcome. False if that takes longer than a moment: then it goes on in the background.

        Raises:
            ControlSignal: the attempt ends.
        """
        used = _Used(step, key, outcome, started)
        if not self._queue:
            commit = self._send(used)
            settled = commit.wait(_MOMENT)
            if isinstance(settled, ValueNotStorable) and refused(outcome, settled):
                return self.store(step, key, outcome, started)
            if settled is not None:
                self._attempt.judge(settled, key)
                return True
            self._queue.append(used)
            self._follow(commit)
        else:
            self._queue.append(used)
        return False

    def hold(self) -> None:
        """Hold the loop until all outcomes are stored, before a sync step's body runs.

        Raises:
            ControlSignal: the attempt ends. It is released while another session locks the run's row: the other runs
                of the loop must not wait for that lock.
        """
        while (commit := self._commit) is not None:
            settled = commit.wait(_LOCKED)
            self._attempt.check()
            if settled is not None:
                self._settled(commit)
            elif commit.locked:
                raise self._attempt.interrupt(
                    Released("somebody locks the run's row, and its next step would hold up other runs meanwhile")
                )
        self._attempt.check()

    async def wait(self) -> None:
        """Wait until all outcomes are stored, before a body runs.

        Raises:
            ControlSignal: the attempt ends.
        """
        while self._queue:
            future = asyncio.get_running_loop().create_future()
            self._waiters.append(future)
            await future
            self._attempt.check()

    async def settle_end(self) -> None:
        """Wait until all outcomes are stored, before the end of the run or of the attempt is written."""
        while self._queue and (self._attempt.signal is None or isinstance(self._attempt.signal, Released)):
            future = asyncio.get_running_loop().create_future()
            self._waiters.append(future)
            await asyncio.wait([future], timeout=0.5)

    def then(self, callback: Callable[[], object]) -> None:
        """Call `callback` in the loop's thread, once all outcomes are stored or the attempt has ended."""
        self._then.append(callback)

    # In the threads of branches.

    def wait_in_thread(self) -> None:
        """As `wait`, in a thread."""
        while True:
            gate = Lock()
            gate.acquire()
            # The queue is emptied under the same lock, and `wake` takes the gates after that: none is missed.
            with self._lock:
                if not self._queue:
                    break
                self._gates.append(gate)
            gate.acquire()
            self._attempt.check()

    # Answers of the store.

    def wake(self) -> None:
        """End all waits, which check again whether they may go on; in the loop's thread."""
        with self._lock:
            gates, self._gates = self._gates, []
        for gate in gates:
            gate.release()
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(None)

    def _send(self, used: _Used) -> InlineCommit:
        checkpoint = self._attempt.checkpoint(CallKind.STEP, used.key, used.step.name, used.outcome, used.started)
        return self._committer.start(checkpoint, self._attempt.given_up)

    def _follow(self, commit: InlineCommit) -> None:
        self._commit = commit
        commit.then(partial(self._attempt.scheduler.call, partial(self._settled, commit)))

    def _settled(self, commit: InlineCommit) -> None:
        if commit is not self._commit:
            return  # `hold` has settled it
        settled = commit.wait(0)
        assert settled is not None
        used = self._queue[0]
        if isinstance(settled, ValueNotStorable) and refused(used.outcome, settled):
            # The workflow has gone on with the value. An error is stored in its place, for the next attempt.
            self._refusal = settled
            self._follow(self._send(used))
            return
        try:
            self._attempt.judge(settled, used.key)
            if self._refusal is not None:
                raise self._attempt.interrupt(Released(str(self._refusal)))
        except ControlSignal:
            self._drop()
            return
        with self._lock:
            self._queue.popleft()
        self._attempt.finished(used.key, used.outcome, used.started)
        if self._queue:
            self._follow(self._send(self._queue[0]))
        else:
            self._end()

    def _drop(self) -> None:
        for _ in self._queue:
            self._attempt.leave_step()
        with self._lock:
            self._queue.clear()
        self._end()

    def _end(self) -> None:
        self._commit = None
        callbacks, self._then = self._then, []
        for callback in callbacks:
            callback()
        self.wake()
