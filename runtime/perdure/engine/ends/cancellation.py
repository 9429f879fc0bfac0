"""The cancellation of a run whose workflow cleans up: it strikes once, at the same place live and on every replay.

The cancellation is an event of the run, like a step's outcome, with a checkpoint of its own. It strikes the main
branch of the workflow: where that branch calls a step which is not recorded (the step does not begin), or else where
that branch waits, once the run has come to rest. From there on the workflow's code runs as before, and its steps are
stored.

A step that was in flight when a process died does not begin again only to be cancelled: once the cancellation is
requested, no async step begins until the cancellation has struck.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from ...errors import ControlSignal, Released, RunCancelled
from ...names import CANCEL_KEY
from ...owned_thread import OwnedThread
from ...store.attempts.checkpoint import CallKind, Settled
from ..order.delivery import Delivery
from ..order.journal import strikes_in_a_wait
from ..order.outcome import Outcome, cancelled_error

if TYPE_CHECKING:
    from ...definitions import StepDefinition
    from ..branches.attempt import Attempt
    from ..branches.branch import Branch

__all__ = ["Cancellation", "allow_cleanup"]

_MESSAGE = "the run is cancelled"
_IN_A_WAIT = json.dumps({"at": None})


class _Stage(Enum):
    QUIET = auto()
    """No cancellation is requested."""

    ASKED = auto()
    """The cancellation is requested, and has no place among the run's events yet."""

    AT_A_CALL = auto()
    """The journal has the cancellation: it struck where the workflow called a step."""

    COMING = auto()
    """The cancellation has its place among the run's events, and strikes when its turn has come."""

    STRUCK = auto()
    """The turn of the cancellation has come, or a step call raises it."""


class Cancellation:
    """The cancellation of an attempt's run.

    Args:
        attempt: the attempt.
        seconds: the time that the run has to clean up, or the rest of it if the cleanup began in an earlier attempt.
        asked: whether the cancellation was requested before this attempt began.
        began: gets the seconds for which the attempt may go on, once the cancellation has struck; called in any thread.
    """

    def __init__(
        self, attempt: Attempt, seconds: float, *, asked: bool, began: Callable[[float], None] | None = None
    ) -> None:
        self._attempt = attempt
        self._seconds = seconds
        self._began = began
        self._since = time.monotonic()
        self._main: Branch | None = None
        self._task: asyncio.Task[object] | None = None
        self._wake: Callable[[], object] | None = None
        """Ends the wait of the main branch's thread; None while that thread does not wait."""
        self._due = False
        """Whether it has struck, and the main branch's thread has yet to raise it."""
        self._held: list[asyncio.Future[None]] = []
        """Waits of async steps that do not begin before the cancellation has struck."""
        journal = attempt.journal
        self._stage = _Stage.ASKED if asked else _Stage.QUIET
        if journal.cancellation is not None:
            self._stage = _Stage.COMING if strikes_in_a_wait(journal.cancellation.result) else _Stage.AT_A_CALL

    @property
    def has_struck(self) -> bool:
        """Whether the cancellation has reached the workflow's code; if not by the end of that code, it never will."""
        return self._stage is _Stage.STRUCK and not self._due and not self._is_kept()

    @property
    def is_asked(self) -> bool:
        """Whether the cancellation is requested, and has yet to strike."""
        return self._stage in (_Stage.ASKED, _Stage.COMING)

    @property
    def begun(self) -> bool:
        """Whether the cancellation is recorded or has struck, so that the time to clean up passes."""
        return self._stage in (_Stage.STRUCK, _Stage.AT_A_CALL) or self._attempt.journal.cancellation is not None

    def begin(self, main: Branch, task: asyncio.Task[object] | None) -> None:
        """The workflow starts. `task`: the task of an async workflow."""
        self._main, self._task = main, task
        recorded = self._attempt.journal.cancellation
        if recorded is not None and self._began is not None:
            # The time to clean up began with the checkpoint, in an earlier attempt.
            self._began(self._seconds)
        if self._stage is _Stage.COMING and recorded is not None:
            scheduler = self._attempt.scheduler
            scheduler.keeps_order = True
            scheduler.wait_recorded(Delivery(main, recorded.ordinal, recorded.clock, self._strike))

    def ask(self) -> None:
        """Request the cancellation, from any thread."""
        with self._attempt.scheduler.lock:
            if self._stage is not _Stage.QUIET:
                return
            self._stage = _Stage.ASKED
        self._attempt.scheduler.pump_soon()

    # Where a step is called.

    def at_call(self, branch: Branch, key: str) -> None:
        """Let the cancellation strike, or wait for it, before a sync step is looked up in the journal.

        Raises:
            RunCancelled: the cancellation strikes here, in a thread.
            CancelledError: the cancellation strikes here, in a task.
            ControlSignal: the attempt ends.
        """
        if branch.path or self._stage is _Stage.QUIET:
            return
        if self._stage is _Stage.STRUCK:
            self.raise_if_due()
        elif self._strikes_at_call():
            self._strike_at_call(branch, key)
        elif self._stage is _Stage.COMING and branch.task is None and self._attempt.journal.next_key("") != key:
            # The cancellation has its place before any outcome of this step: wait for it, and do not begin the step.
            # A sync step of an async workflow cannot wait: it holds the loop, in which the cancellation is delivered.
            gate = Lock()
            gate.acquire()
            with self.waiting(branch, gate.release):
                self._attempt.scheduler.rest_thread(branch)
                gate.acquire()
            self._attempt.check()
            self.raise_if_due()

    async def at_async_call(self, branch: Branch, key: str) -> None:
        """Like `at_call`, for an async step. In any branch a step that may not begin yet waits here."""
        if self._stage in (_Stage.QUIET, _Stage.STRUCK):
            return
        expected = self._attempt.journal.next_key(branch.path)
        if not branch.path and self._strikes_at_call():
            from ..steps.step_call import call_async

            with self._striking():
                await call_async(_async_step(), branch, (key,), {})
            raise cancelled_error(_MESSAGE)
        if expected == key or (self._stage is _Stage.ASKED and expected is not None):
            return
        # The step is not recorded next, and must not begin. On replay that is not an error yet: the branch may have
        # recorded only steps that it called after this one was cancelled.
        assert self._attempt.loop is not None
        held = self._attempt.loop.create_future()
        self._held.append(held)
        try:
            await held
        except asyncio.CancelledError:
            self._attempt.check()
            raise

    @contextmanager
    def _striking(self) -> Iterator[None]:
        """Count the cancellation as struck while the step that stores it is called: that call passes `at_call`, too."""
        before, self._stage = self._stage, _Stage.STRUCK
        try:
            yield
        except BaseException:
            self._stage = before
            raise
        self._has_struck()

    def _strikes_at_call(self) -> bool:
        expected = self._attempt.journal.next_key("")
        return expected == CANCEL_KEY or (self._stage is _Stage.ASKED and expected is None)

    def _strike_at_call(self, branch: Branch, key: str) -> None:
        from ..steps.step_call import call

        with self._striking():
            call(_step(), branch, (key,), {})
        if branch.task is not None:
            raise cancelled_error(_MESSAGE)
        raise RunCancelled(_MESSAGE)

    # Where the main branch waits.

    @contextmanager
    def waiting(self, branch: Branch, wake: Callable[[], object]) -> Iterator[None]:
        """Note, while the main branch's thread waits, that `wake` ends its wait. Other branches are not struck."""
        if branch.path:
            yield
            return
        self._wake = wake
        try:
            yield
        finally:
            self._wake = None

    def raise_if_due(self) -> None:
        """Raise the cancellation, once, in the main branch's thread.

        Raises:
            RunCancelled: the cancellation has struck, and is not raised yet.
        """
        if self._due:
            self._due = False
            raise RunCancelled(_MESSAGE)

    def offer(self) -> None:
        """Give the cancellation its place among the events: the run is at rest, and no recorded event is left."""
        if self._stage is not _Stage.ASKED or self._main is None:
            return
        if self._wake is None if self._task is None else self._task.done():
            # The main branch does not wait: the cancellation strikes at its next step call, if there is one.
            return
        attempt, scheduler = self._attempt, self._attempt.scheduler
        self._stage, scheduler.keeps_order = _Stage.COMING, True
        outcome = Outcome(result=_IN_A_WAIT)
        outcome.ordinal, outcome.clock = scheduler.accept()
        delivery = Delivery(self._main, outcome.ordinal, outcome.clock, self._strike)
        scheduler.wait_live(delivery)
        checkpoint = attempt.checkpoint(CallKind.STEP, CANCEL_KEY, CANCEL_KEY, outcome, time.monotonic_ns())

        def settle(settled: Settled) -> None:
            with suppress(ControlSignal):
                attempt.judge(settled, CANCEL_KEY)
                attempt.steps_done += 1
                scheduler.stored(delivery)

        if attempt.loop_committer is not None and self._task is not None:
            attempt.submit(checkpoint, settle)
            return
        # In a thread of its own: this thread holds the scheduler's lock, and must not wait for the store with it.
        OwnedThread(
            lambda: settle(attempt.committer.commit(checkpoint, attempt.given_up)),
            name="perdure-cancels",
            died=self._not_stored,
        ).start()

    def _not_stored(self, error: BaseException) -> None:
        self._attempt.interrupt(Released(f"the cancellation could not be stored: {error!r}"))

    def _strike(self) -> None:
        """The turn of the cancellation has come: strike the main branch."""
        attempt, main = self._attempt, self._main
        if attempt.signal is not None or main is None:
            return
        if self._task is not None and self._task.done():
            # The workflow got its last outcome before this turn, and has ended: its end stands.
            return
        self._stage = _Stage.STRUCK
        if self._task is not None:
            self._task.cancel(_MESSAGE)
        else:
            self._due = True
            if self._wake is not None:
                self._wake()
            else:
                # The delivery has counted the main branch as running, but its thread is still in a step. The thread
                # raises the cancellation after that step.
                attempt.scheduler.running.discard(main)
        self._has_struck()

    def _is_kept(self) -> bool:
        """Whether it came with an outcome on its way to the main branch, which has yet to wait again."""
        return self._main is not None and self._main.cancel_pending and self._main.cancel_message is _MESSAGE

    def _has_struck(self) -> None:
        attempt = self._attempt
        attempt.scheduler.keeps_order = False
        held, self._held = self._held, []
        for future in held:
            if not future.done():
                future.set_result(None)
        # For a recorded cancellation `begin` has called it already, with the rest of the time.
        if self._began is not None and attempt.journal.cancellation is None:
            self._began(self._seconds)


def allow_cleanup(attempt: Attempt, began: Callable[[float], None] | None = None) -> None:
    """Let an attempt's workflow clean up if its run is cancelled, where the workflow declares `cleanup`.

    Call this before the workflow is executed.

    Args:
        attempt: the attempt.
        began: gets the seconds that the workflow has to clean up, once a cancellation has struck.
    """
    claimed = attempt.claimed
    if claimed.cleanup is not None:
        cancellation = Cancellation(attempt, claimed.cleanup, asked=claimed.cancelled, began=began)
        attempt.cancellation, attempt.scheduler.offer = cancellation, cancellation.offer


@lru_cache(maxsize=1)
def _step() -> StepDefinition:
    from ...definitions import StepDefinition

    def cancel(at: str) -> dict[str, str]:
        return {"at": at}

    return StepDefinition(cancel, CANCEL_KEY, reserved=True)


@lru_cache(maxsize=1)
def _async_step() -> StepDefinition:
    from ...definitions import StepDefinition

    async def cancel(at: str) -> dict[str, Any]:
        return {"at": at}

    return StepDefinition(cancel, CANCEL_KEY, reserved=True)
