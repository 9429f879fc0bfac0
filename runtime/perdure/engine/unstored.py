"""Outcomes of sync steps in an async workflow that the workflow uses before they are in the store.

Such a step holds the loop that it shares with other runs, and its outcome is used on the spot. Where the store does not
take it within a moment (somebody locks the run's row, the store is slow or away), the loop goes on without waiting.
Until the outcome is stored, no step's body of the run begins, nothing that the run comes to later goes to the store
before it, and the run does not end. So a crash finds the run as if the step were still in flight.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from ..errors import ControlSignal, Released, ValueNotStorable
from .outcome import Outcome, refused

if TYPE_CHECKING:
    from ..definitions import StepDefinition
    from ..store.attempts.inline_committer import InlineCommit, InlineCommitter
    from .attempt import Attempt

__all__ = ["Unstored"]

_MOMENT = 0.02
"""Seconds that the loop waits for the store to take an outcome."""

_LOCKED = 0.25
"""Seconds that a sync step holds the loop for the outcome before it, whose run's row somebody locks."""


@dataclass(slots=True, eq=False)
class _Used:
    step: StepDefinition
    key: str
    outcome: Outcome
    started: int


class Unstored:
    """The outcomes of one attempt that are on their way, in order: the first alone has been sent."""

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
        """Whether there is one."""
        return bool(self._queue)

    # In the loop's thread.

    def store(self, step: StepDefinition, key: str, outcome: Outcome, started: int) -> bool:
        """Store an outcome; False if that takes longer than a moment and goes on.

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
        """Hold the loop until all is stored: the body of a sync step is about to run.

        Raises:
            ControlSignal: the attempt ends. Where somebody locks the run's row it is given back, since the other runs
                of the loop cannot be made to wait for that.
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
        """Wait until all is stored: a body is about to run.

        Raises:
            ControlSignal: the attempt ends.
        """
        while self._queue:
            future = asyncio.get_running_loop().create_future()
            self._waiters.append(future)
            await future
            self._attempt.check()

    async def settle_end(self) -> None:
        """Wait until all is stored, before the run's or the attempt's end is told to the store."""
        while self._queue and (self._attempt.signal is None or isinstance(self._attempt.signal, Released)):
            future = asyncio.get_running_loop().create_future()
            self._waiters.append(future)
            await asyncio.wait([future], timeout=0.5)

    def then(self, callback: Callable[[], object]) -> None:
        """Call something in the loop's thread once all is stored."""
        self._then.append(callback)

    # In the threads of branches.

    def wait_in_thread(self) -> None:
        """As `wait`, in a thread."""
        while True:
            gate = Lock()
            gate.acquire()
            with self._lock:
                if not self._queue:
                    break
                self._gates.append(gate)
            gate.acquire()
            self._attempt.check()

    # Their end.

    def wake(self) -> None:
        """Let those who wait look up; in the loop's thread."""
        with self._lock:
            gates, self._gates = self._gates, []
        for gate in gates:
            gate.release()
        waiters, self._waiters = self._waiters, []
        for future in waiters:
            if not future.done():
                future.set_result(None)

    def _send(self, used: _Used) -> InlineCommit:
        checkpoint = self._attempt.checkpoint(used.key, used.step.name, used.outcome, used.started)
        return self._committer.start(checkpoint, self._attempt.given_up)

    def _follow(self, commit: InlineCommit) -> None:
        self._commit = commit
        commit.then(partial(self._attempt.scheduler.call, partial(self._settled, commit)))

    def _settled(self, commit: InlineCommit) -> None:
        if commit is not self._commit:
            return  # `hold` has seen to it
        settled = commit.wait(0)
        assert settled is not None
        used = self._queue[0]
        if isinstance(settled, ValueNotStorable) and refused(used.outcome, settled):
            # The workflow has gone on with the value. The next attempt gets the error instead.
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
