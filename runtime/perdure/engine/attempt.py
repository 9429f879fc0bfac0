"""One attempt of one run: what it is given, what ends it, and what everything that runs in it shares."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ..claimed_attempt import ClaimedAttempt
from ..errors import (
    ControlSignal,
    NondeterminismError,
    PerdureError,
    Released,
    RunCancelled,
    RunStopped,
    StoreChanged,
    Superseded,
    ValueNotStorable,
)
from ..serialization.fingerprint import keyed_hash
from ..store.attempts.checkpoint import Answer, Checkpoint, Settled
from ..store.attempts.idle_connections import IdleConnections
from .journal import Journal, Recorded
from .lazy_event import LazyEvent
from .scheduler import Scheduler

if TYPE_CHECKING:
    from ..store.attempts.inline_committer import InlineCommitter
    from ..store.attempts.loop_committer import LoopCommitter
    from ..store.attempts.thread_committer import ThreadCommitter
    from .attempt_parts import Cleanup, UsedOutcomes
    from .host_loop import HostLoop
    from .outcome import Outcome

__all__ = ["Attempt", "Observer"]


class Observer(Protocol):
    """Sees the steps of an attempt go by, in the threads that run them: it must be quick and must not raise."""

    def started(self, key: str) -> None: ...

    def tried(self, key: str, tries: int, error: BaseException, pause: float) -> None: ...

    def finished(self, key: str, outcome: str, tries: int, seconds: float, error: BaseException | None) -> None: ...

    def replayed(self, key: str, outcome: str, attempt: int) -> None: ...

    def waits(self, where: str) -> None: ...


class Attempt:
    """The state that all branches of an attempt share.

    Args:
        claimed: what the store answered when the attempt began.
        recorded: the outcomes that earlier attempts stored.
        committer: stores outcomes for threads.
        loop: the loop of an async workflow.
        loop_committer: stores outcomes for its tasks.
        observer: sees the steps go by.
        clock: nanoseconds that only ever grow.
        connections: of database steps, which the attempt shares with others; its own by default.
        on_superseded: ends the process at once, from whatever thread, where it runs this attempt alone.
        inline_committer: stores outcomes of sync steps in async workflows; None has `committer` do so.
    """

    __slots__ = (
        "__weakref__",
        "_bodies",
        "_draining",
        "_held_back",
        "_observer",
        "_on_superseded",
        "_run",
        "_task_number",
        "_token",
        "cancellation",
        "claimed",
        "committer",
        "current_step",
        "database_url",
        "ends",
        "forked",
        "has_threads",
        "idle_connections",
        "inline_committer",
        "interrupted",
        "journal",
        "keyed",
        "lease",
        "loop",
        "loop_committer",
        "number",
        "number_lock",
        "older_ended",
        "over",
        "paused",
        "run_id",
        "run_name",
        "scheduler",
        "shares_connections",
        "signal",
        "steps_done",
        "tasks",
        "thread_pool",
        "unstored",
    )

    def __init__(  # noqa: PLR0913  what an attempt is given, by name
        self,
        claimed: ClaimedAttempt,
        recorded: Iterable[Recorded],
        committer: ThreadCommitter,
        *,
        loop: HostLoop | None = None,
        loop_committer: LoopCommitter | None = None,
        observer: Observer | None = None,
        database_url: str | None = None,
        lease: float = 6.0,
        clock: Callable[[], int] = time.monotonic_ns,
        connections: IdleConnections | None = None,
        on_superseded: Callable[[], None] | None = None,
        inline_committer: InlineCommitter | None = None,
    ) -> None:
        self.claimed = claimed
        self.run_id = claimed.run_id
        self.keyed = keyed_hash(claimed.seed.bytes)
        """A hash whose key is the run's secret, to be copied."""
        self.run_name = claimed.id
        self.number = claimed.number
        self.journal = Journal(recorded)
        self.loop = loop
        self.scheduler = Scheduler(self.journal, _is_yet_to_begin, loop, clock)
        self.cancellation: Cleanup | None = None
        """Where the workflow cleans up once its run is cancelled; made by `cancellation.allow_cleanup`."""
        self.committer = committer
        self.loop_committer = loop_committer
        self.inline_committer = inline_committer
        self.unstored: UsedOutcomes | None = None
        """From the first sync step of an async workflow on, where `inline_committer` stores that."""
        self.database_url = database_url
        self.lease = lease
        self.signal: ControlSignal | None = None
        self.interrupted = LazyEvent()
        self.paused = LazyEvent()
        """Ends the pauses between tries: the attempt ends, or is to."""
        self.ends: asyncio.Future[None] | None = None
        """Done once the attempt is to end; made and waited for in the loop."""
        self.over = LazyEvent()
        self.idle_connections = connections or IdleConnections()
        self.shares_connections = connections is not None
        self.older_ended = False
        """Whether the transactions of older attempts have been ended, which might hold locks."""
        self.forked = False
        self.tasks: set[Any] = set()
        """The tasks of its branches, each a `loop.BranchTask`."""
        self.has_threads = False
        """Whether the attempt ever had threads of branches."""
        self.thread_pool: object = None
        """The threads of `threads.to_thread`."""
        self.steps_done = self.journal.size
        self.current_step: str | None = None
        self._observer = observer
        self._on_superseded = on_superseded
        self._bodies = 0
        """Steps whose bodies run, or whose outcomes are on their way into the store."""
        self._draining: ControlSignal | None = None
        self._held_back = 0
        """Threads that drain: each stands before its next step."""
        self._run = str(claimed.run_id).encode()
        self._token = str(claimed.token).encode()
        self._task_number = (claimed.run_id.int & 0xFFFF_FFFF) << 20
        self.number_lock = threading.Lock()

    # What ends an attempt.

    def check(self) -> None:
        """Let the code that asks go on, or end it with the attempt.

        Raises:
            ControlSignal: the attempt ends.
        """
        if self.signal is not None:
            # One signal is raised in many places: without this its traceback would grow with each.
            raise self.signal.with_traceback(None) from None

    def given_up(self) -> bool:
        """Whether nobody waits for this attempt's writes any more."""
        return isinstance(self.signal, Superseded)

    def cancel(self, why: str, *, at_once: bool = False) -> bool:
        """Somebody asked for the run to be cancelled: end it, or with time to clean up tell the workflow first.

        Returns whether the attempt ends now.

        Args:
            why: for people.
            at_once: without that time.
        """
        if self.cancellation is None or at_once:
            self.interrupt(RunCancelled(why))
            return True
        self.cancellation.ask()
        return False

    @property
    def is_to_end(self) -> bool:
        """Whether a step that is under way may as well give up. In a cleanup it may not."""
        return self.signal is not None or (self.cancellation is not None and self.cancellation.is_asked)

    @property
    def cleans_up(self) -> bool:
        """Whether the run's cancellation is in the store, and its workflow has its time to clean up."""
        return self.cancellation is not None and self.cancellation.begun

    @property
    def in_step(self) -> bool:
        """Whether a step's body runs, or an outcome is on its way."""
        return self._bodies > 0

    def interrupt(self, signal: ControlSignal) -> ControlSignal:
        """End the attempt, from any thread; the first reason given stands. Returns what to raise."""
        if self._on_superseded is not None and isinstance(signal, Superseded) and not self.over.is_set():
            self._on_superseded()
        with self.scheduler.lock:
            if self.signal is None or (isinstance(signal, Superseded) and not isinstance(self.signal, Superseded)):
                self.signal = signal
        self.interrupted.set()
        self.paused.set()
        self.scheduler.call(self._wake)
        return self.signal

    def drain(self, signal: ControlSignal) -> None:
        """End the attempt as soon as no step is under way: those that are may finish, and no other begins.

        Called from any thread. A sync workflow goes on up to its next step: what it computes between steps, its end
        included, cannot be told from outside.
        """
        with self.scheduler.lock:
            self._draining = self._draining or signal
        self.paused.set()
        self.scheduler.call(self._end_if_drained)

    def _end_if_drained(self) -> None:
        with self.scheduler.lock:
            signal = self._draining
            # Only a thread that stands before its next step shows that a sync workflow is not about to end by itself.
            if self._bodies or not (self.loop is not None or self._held_back):
                return
        if signal is not None:
            self.interrupt(signal)

    def enter_step(self) -> None:
        """A sync step's body is about to run, or to be tried again. It counts as under way if this returns.

        Raises:
            ControlSignal: the attempt ends instead.
        """
        # A sync step of an async workflow holds the loop: it cannot wait here for others to finish.
        if self.may_begin() or self.loop is not None:
            return
        with self.scheduler.lock:
            self._bodies -= 1
            self._held_back += 1
        self._end_if_drained()
        self.interrupted.wait()
        self.check()

    async def enter_async_step(self) -> None:
        """As `enter_step`, of an async step."""
        if not self.may_begin():
            await self.stand_back()

    async def stand_back(self) -> None:
        """An async step's body may not begin: wait for the attempt's end.

        Raises:
            ControlSignal: which is always.
        """
        loop = self.loop
        assert loop is not None
        self.leave_step()
        try:
            await loop.create_future()
        finally:
            self.check()

    def may_begin(self) -> bool:
        """Whether a step's body may begin, which counts as under way from now on."""
        with self.scheduler.lock:
            # Under the lock under which the attempt ends: behind its end no body begins. Another attempt may run the
            # step by then, and what a thread found out before it came here may be long past.
            if self.signal is not None:
                self.check()
            self._bodies += 1
            return self._draining is None

    def leave_step(self) -> None:
        """A step's outcome is stored, or it waits for its next try."""
        with self.scheduler.lock:
            self._bodies -= 1
        if self._draining is not None:
            self._end_if_drained()

    def _wake(self) -> None:
        self.scheduler.wake_all()
        self.wake_end()
        if self.unstored is not None:
            self.unstored.wake()
        for task in list(self.tasks):
            task.cancel(str(self.signal))

    def wake_end(self) -> None:
        """Let who waits for the attempt's end look up; in the loop's thread."""
        if self.ends is not None and not self.ends.done():
            self.ends.set_result(None)

    def stop(self, error: PerdureError) -> ControlSignal:
        """End the run with an error that workflow code must not handle. Returns what to raise."""
        return self.interrupt(RunStopped(error))

    def judge(self, settled: Settled, key: str) -> None:
        """Go on after a write that the store took; end the attempt after any other.

        Raises:
            ControlSignal: the attempt ends.
        """
        if settled is Answer.DONE or settled is Answer.DONE_BEFORE:
            return
        if settled is Answer.KEY_TAKEN:
            raise self.stop(
                NondeterminismError(f"step {key!r} is in the store already: two calls of this run had the same key")
            )
        if settled is Answer.SUPERSEDED or settled is Answer.GONE:
            raise self.interrupt(
                Superseded(
                    f"another attempt owns run {self.run_name!r}, or it was deleted; this one is attempt {self.number}"
                )
            )
        if settled is Answer.SERVER_CHANGED or isinstance(settled, StoreChanged):
            raise self.interrupt(
                Released("the store was failed over to another server; the next attempt replays what it has")
            )
        if isinstance(settled, ValueNotStorable):
            raise self.stop(settled)
        raise self.interrupt(Released(str(settled)))

    # What branches share.

    def next_task_number(self) -> int:
        """A number for a task or future: the same on replay, and rarely another run's."""
        with self.number_lock:
            self._task_number += 1
            return self._task_number

    def submit(self, checkpoint: Checkpoint, callback: Callable[[Settled], None]) -> None:
        """Store a checkpoint for a task, after all that the workflow has used; in the loop's thread."""
        committer = self.loop_committer
        assert committer is not None
        if self.unstored is not None and self.unstored.pending:
            self.unstored.then(lambda: committer.submit(checkpoint, callback))
        else:
            committer.submit(checkpoint, callback)

    def checkpoint(self, key: str, name: str, outcome: Outcome, started: int) -> Checkpoint:
        """An outcome as the store takes it."""
        return Checkpoint(
            self._run,
            self._token,
            key,
            outcome.ordinal,
            name,
            outcome.tries,
            outcome.clock,
            (time.monotonic_ns() - started) // 1000,
            outcome.result,
            outcome.error,
            outcome.fingerprint,
        )

    # What is seen of it.

    def started(self, key: str) -> None:
        self.current_step = key
        if self._observer is not None:
            self._observer.started(key)

    def waits(self, where: str) -> None:
        """The run waits for something that Perdure cannot see: that is where it is, in place of a step."""
        self.current_step = self.current_step or where
        if self._observer is not None:
            self._observer.waits(where)

    def tried(self, key: str, tries: int, error: BaseException, pause: float) -> None:
        if self._observer is not None:
            self._observer.tried(key, tries, error, pause)

    def finished(self, key: str, outcome: Outcome, started: int) -> None:
        self.leave_step()
        self.steps_done += 1
        if self.current_step == key:
            self.current_step = None
        if self._observer is not None:
            self._observer.finished(
                key, _kind(outcome), outcome.tries, (time.monotonic_ns() - started) / 1e9, outcome.raised
            )

    def replayed(self, key: str, recorded: Recorded) -> None:
        if self._observer is not None:
            self._observer.replayed(key, _kind(recorded), recorded.attempt)


def _kind(outcome: Outcome | Recorded) -> str:
    return "result" if outcome.result is not None else "error" if outcome.error is not None else "cancelled"


def _is_yet_to_begin(_: Recorded) -> None:
    """Before its workflow begins a run is not stuck for calling nothing; `execute` puts the verdict in this place."""
