"""One attempt of one run: its inputs, its end, and the state that all branches of it share."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from ...boot_clock import boot_nanoseconds
from ...claimed_attempt import ClaimedAttempt
from ...errors import (
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
from ...serialization.fingerprint import keyed_hash
from ...store.attempts.checkpoint import Answer, CallKind, Checkpoint, Settled
from ...store.attempts.idle_connections import IdleConnections
from ..order.journal import Journal, Recorded
from ..order.scheduler import Scheduler
from .lazy_event import LazyEvent

if TYPE_CHECKING:
    from ...store.attempts.inline_committer import InlineCommitter
    from ...store.attempts.loop_committer import LoopCommitter
    from ...store.attempts.thread_committer import ThreadCommitter
    from ..order.attempt_parts import Cleanup, UsedOutcomes
    from ..order.host_loop import HostLoop
    from ..order.outcome import Outcome

__all__ = ["Attempt", "Observer"]


class Observer(Protocol):
    """Gets the events of an attempt's steps.

    The calls come from the threads that execute the attempt: they must return quickly and must not raise.
    `pause` and `seconds` are in seconds.
    """

    def started(self, key: str) -> None: ...

    def tried(self, key: str, tries: int, error: BaseException, pause: float) -> None: ...

    def finished(self, key: str, outcome: str, tries: int, seconds: float, error: BaseException | None) -> None: ...

    def replayed(self, key: str, outcome: str, attempt: int) -> None: ...

    def waits(self, where: str) -> None: ...


class Attempt:
    """The state that all branches of an attempt share.

    Args:
        claimed: the store's answer when the attempt began.
        recorded: the outcomes that earlier attempts stored.
        committer: stores outcomes for threads.
        loop: the loop of an async workflow.
        loop_committer: stores outcomes for the tasks of that loop.
        observer: gets the events of the attempt's steps.
        database_url: URL of the store, for database steps; None where the store is not a database.
        lease: seconds from a database step's checkpoint to COMMIT after which the server ends the transaction.
        clock: returns nanoseconds that never decrease.
        connections: connections of database steps that the attempt shares with other attempts; its own by default.
        on_superseded: ends the process at once, where it runs this attempt alone; called in any thread.
        inline_committer: stores outcomes of sync steps in async workflows; if it is None, `committer` stores them.
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

    def __init__(  # noqa: PLR0913  the inputs of an attempt, by name
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
        clock: Callable[[], int] = boot_nanoseconds,
        connections: IdleConnections | None = None,
        on_superseded: Callable[[], None] | None = None,
        inline_committer: InlineCommitter | None = None,
    ) -> None:
        self.claimed = claimed
        self.run_id = claimed.run_id
        self.keyed = keyed_hash(claimed.seed.bytes)
        """A hash with the run's secret as its key; each fingerprint begins with a copy of it."""
        self.run_name = claimed.id
        self.number = claimed.number
        self.journal = Journal(recorded)
        self.loop = loop
        self.scheduler = Scheduler(
            self.journal, _is_yet_to_begin, loop, clock, reading=claimed.clock, read_at=claimed.read_at
        )
        self.cancellation: Cleanup | None = None
        """The run's cancellation, if the workflow may clean up; set by `cancellation.allow_cleanup`."""
        self.committer = committer
        self.loop_committer = loop_committer
        self.inline_committer = inline_committer
        self.unstored: UsedOutcomes | None = None
        """Set by the first sync step of an async workflow that `inline_committer` stores."""
        self.database_url = database_url
        self.lease = lease
        self.signal: ControlSignal | None = None
        self.interrupted = LazyEvent()
        self.paused = LazyEvent()
        """Set once the attempt ends or drains: it ends the pauses between tries."""
        self.ends: asyncio.Future[None] | None = None
        """Done once the attempt ends, or the task of the workflow's function; made and awaited in the loop."""
        self.over = LazyEvent()
        self.idle_connections = connections or IdleConnections()
        self.shares_connections = connections is not None
        self.older_ended = False
        """Whether this attempt has ended the transactions of older attempts, which may hold locks."""
        self.forked = False
        self.tasks: set[Any] = set()
        """The tasks of the attempt's branches, each a `loop.BranchTask`."""
        self.has_threads = False
        """Whether the attempt ever had threads of branches."""
        self.thread_pool: object = None
        """The threads of `threads.to_thread`."""
        self.steps_done = self.journal.size
        self.current_step: str | None = None
        self._observer = observer
        self._on_superseded = on_superseded
        self._bodies = 0
        """Number of steps whose bodies run, or whose outcomes are on their way into the store."""
        self._draining: ControlSignal | None = None
        self._held_back = 0
        """Number of threads that wait before their next step, because the attempt drains."""
        self._run = str(claimed.run_id).encode()
        self._token = str(claimed.token).encode()
        self._task_number = (claimed.run_id.int & 0xFFFF_FFFF) << 20
        self.number_lock = threading.Lock()

    # What ends an attempt.

    def check(self) -> None:
        """Return if the attempt goes on, or raise the signal that ends it.

        Raises:
            ControlSignal: the attempt ends.
        """
        if self.signal is not None:
            # The same signal is raised in many places. Without the reset its traceback would grow with each raise.
            raise self.signal.with_traceback(None) from None

    def given_up(self) -> bool:
        """Whether the attempt is superseded, so that its writes are not waited for any more."""
        return isinstance(self.signal, Superseded)

    def cancel(self, why: str, *, at_once: bool = False) -> bool:
        """Cancel the run: end the attempt, or let the workflow clean up first if it may.

        Returns whether the attempt ends now.

        Args:
            why: the reason, for people.
            at_once: end the attempt without a cleanup.
        """
        if self.cancellation is None or at_once:
            self.interrupt(RunCancelled(why))
            return True
        self.cancellation.ask()
        return False

    @property
    def is_to_end(self) -> bool:
        """Whether a step that is under way should give up early.

        True once the attempt ends, and while a cancellation is requested and has not struck yet. False in a cleanup:
        its steps are to run.
        """
        return self.signal is not None or (self.cancellation is not None and self.cancellation.is_asked)

    @property
    def cleans_up(self) -> bool:
        """Whether the run's cancellation is in the store, so that the workflow's time to clean up runs."""
        return self.cancellation is not None and self.cancellation.begun

    @property
    def in_step(self) -> bool:
        """Whether a step's body runs, or an outcome is on its way into the store."""
        return self._bodies > 0

    def interrupt(self, signal: ControlSignal) -> ControlSignal:
        """End the attempt; called in any thread. Returns the signal to raise.

        The first signal stays. `Superseded` alone replaces another: only it ends the waits for the store (`given_up`).
        """
        if self._on_superseded is not None and isinstance(signal, Superseded) and not self.over.is_set():
            self._on_superseded()
        with self.scheduler.lock:
            if self.signal is None or (isinstance(signal, Superseded) and not isinstance(self.signal, Superseded)):
                self.signal = signal
        # After the signal: the threads that these events wake call `check`.
        self.interrupted.set()
        self.paused.set()
        self.scheduler.call(self._wake)
        return self.signal

    def drain(self, signal: ControlSignal) -> None:
        """End the attempt once no step is under way. Steps that are under way finish, and no other step begins.

        Called in any thread. A sync workflow goes on up to its next step or wait: from outside, code between two steps
        cannot be distinguished from code that ends the workflow.
        """
        with self.scheduler.lock:
            self._draining = self._draining or signal
        self.paused.set()
        self.scheduler.call(self.end_if_drained)

    def end_if_drained(self) -> None:
        """End the attempt if it drains, and nothing is under way that has to come to its end first."""
        if self._draining is None:
            return
        with self.scheduler.lock:
            signal = self._draining
            # A sync workflow may be about to end by itself. A thread that waits before its next step shows that it is
            # not, and so does a run at rest whose threads wait for a timer.
            waits = self._held_back or (self.scheduler.naps and self.scheduler.rests())
            if self._bodies or not (self.loop is not None or waits):
                return
        if signal is not None:
            self.interrupt(signal)

    def enter_step(self) -> None:
        """Begin a try of a sync step's body: the step is under way once this returns.

        Raises:
            ControlSignal: the attempt ends instead.
        """
        # A sync step of an async workflow holds the loop, which the steps that are under way need to finish. So it does
        # not wait here, and begins even while the attempt drains.
        if self.may_begin() or self.loop is not None:
            return
        # `may_begin` has counted this step. It waits instead, and must not keep the attempt from draining.
        with self.scheduler.lock:
            self._bodies -= 1
            self._held_back += 1
        self.end_if_drained()
        self.interrupted.wait()
        self.check()

    async def enter_async_step(self) -> None:
        """As `enter_step`, for an async step."""
        if not self.may_begin():
            await self.stand_back()

    async def stand_back(self) -> None:
        """Hold back an async step whose body may not begin, until the attempt ends.

        Raises:
            ControlSignal: the attempt ends.
            CancelledError: the workflow cancelled the step's task before that.
        """
        loop = self.loop
        assert loop is not None
        self.leave_step()
        try:
            await loop.create_future()
        finally:
            self.check()

    def may_begin(self) -> bool:
        """Count a step as under way. Returns whether its body may begin: not while the attempt drains.

        Raises:
            ControlSignal: the attempt ends; the step is not counted.
        """
        with self.scheduler.lock:
            # `interrupt` sets the signal under the same lock, so no body begins after the attempt's end: by then
            # another attempt may run the step. A check before the lock would not be enough: this thread may have stood
            # still since.
            if self.signal is not None:
                self.check()
            self._bodies += 1
            return self._draining is None

    def leave_step(self) -> None:
        """Count a step as no longer under way: its outcome is stored, or it waits for its next try or a connection."""
        with self.scheduler.lock:
            self._bodies -= 1
        # Without the lock: a drain that begins after the lines above sees the lower count by itself.
        if self._draining is not None:
            self.end_if_drained()

    def _wake(self) -> None:
        self.scheduler.wake_all()
        self.wake_end()
        if self.unstored is not None:
            self.unstored.wake()
        for task in list(self.tasks):
            task.cancel(str(self.signal))

    def wake_end(self) -> None:
        """End the wait for the attempt's end, if there is one; in the loop's thread."""
        if self.ends is not None and not self.ends.done():
            self.ends.set_result(None)

    def stop(self, error: PerdureError) -> ControlSignal:
        """End the run with an error that workflow code must not handle. Returns the signal to raise."""
        return self.interrupt(RunStopped(error))

    def judge(self, settled: Settled, key: str) -> None:
        """Return if the store has taken a write; end the attempt after any other answer.

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
        """A number for a task or future: the same on replay, and rarely equal to a number of another run."""
        with self.number_lock:
            self._task_number += 1
            return self._task_number

    def submit(self, checkpoint: Checkpoint, callback: Callable[[Settled], None]) -> None:
        """Store a checkpoint for a task, after all outcomes that the workflow has used; in the loop's thread."""
        committer = self.loop_committer
        assert committer is not None
        if self.unstored is not None and self.unstored.pending:
            self.unstored.then(lambda: committer.submit(checkpoint, callback))
        else:
            committer.submit(checkpoint, callback)

    def checkpoint(self, kind: CallKind, key: str, name: str, outcome: Outcome, started: int) -> Checkpoint:
        """The checkpoint of an outcome; `started` is when the call was made, in monotonic nanoseconds."""
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
            kind,
        )

    # Events for the observer.

    def started(self, key: str) -> None:
        self.current_step = key
        if self._observer is not None:
            self._observer.started(key)

    def waits(self, where: str) -> None:
        """The run waits for something that Perdure cannot see. Without a current step, `where` stands in its place."""
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
    """Stands for the verdict until `execute` sets it: a run that has not begun calls no step, and is not stuck."""
