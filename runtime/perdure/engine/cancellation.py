"""A cancelled run whose workflow cleans up: its code is told once, at one place, live and on every replay.

The cancellation is an event of the run like a step's outcome, with a checkpoint of its own. It strikes the workflow's
main branch: where that calls a step which is not recorded (that step does not begin), or else in what it waits for,
once the run has come to rest. From there on the code runs as ever, and its steps are stored.

What was in flight when a process died is not begun again for being cancelled: once a cancellation is asked for, no
async step begins until it has struck.
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

from ..errors import ControlSignal, Released, RunCancelled
from ..names import CANCEL_KEY
from ..owned_thread import OwnedThread
from ..store.attempts.checkpoint import Settled
from .delivery import Delivery
from .journal import strikes_in_a_wait
from .outcome import Outcome, cancelled_error

if TYPE_CHECKING:
    from ..definitions import StepDefinition
    from .attempt import Attempt
    from .branch import Branch

__all__ = ["Cancellation", "allow_cleanup"]

_MESSAGE = "the run is cancelled"
_IN_A_WAIT = json.dumps({"at": None})


class _Stage(Enum):
    QUIET = auto()
    ASKED = auto()

    AT_A_CALL = auto()
    """It is recorded, as having struck where the workflow called a step."""

    COMING = auto()
    """It has its place among the run's events, and strikes when its turn has come."""

    STRUCK = auto()


class Cancellation:
    """The cancellation of an attempt's run.

    Args:
        attempt: the attempt.
        seconds: for which the run may clean up, or what is left of them where that has begun.
        asked: whether it was cancelled before this attempt began.
        began: told, once it has struck, for how many seconds the attempt may go on; in any thread.
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
        """Ends what the main branch's thread waits for."""
        self._due = False
        """Whether it has struck while the main branch's thread could not be told."""
        self._held: list[asyncio.Future[None]] = []
        journal = attempt.journal
        self._stage = _Stage.ASKED if asked else _Stage.QUIET
        if journal.cancellation is not None:
            self._stage = _Stage.COMING if strikes_in_a_wait(journal.cancellation.result) else _Stage.AT_A_CALL

    @property
    def has_struck(self) -> bool:
        """Whether the workflow has been told; once it has ended, what it has yet to hear it never will."""
        return self._stage is _Stage.STRUCK and not self._due and not self._is_kept()

    @property
    def is_asked(self) -> bool:
        """Whether it was asked for, and has yet to strike."""
        return self._stage in (_Stage.ASKED, _Stage.COMING)

    @property
    def begun(self) -> bool:
        """Whether it is in the store, so that the time to clean up passes."""
        return self._stage in (_Stage.STRUCK, _Stage.AT_A_CALL) or self._attempt.journal.cancellation is not None

    def begin(self, main: Branch, task: asyncio.Task[object] | None) -> None:
        """The workflow starts: `task` is that of an async one."""
        self._main, self._task = main, task
        recorded = self._attempt.journal.cancellation
        if recorded is not None and self._began is not None:
            self._began(self._seconds)
        if self._stage is _Stage.COMING and recorded is not None:
            scheduler = self._attempt.scheduler
            scheduler.keeps_order = True
            scheduler.wait_recorded(Delivery(main, recorded.ordinal, recorded.clock, self._strike))

    def ask(self) -> None:
        """Somebody asked for the run to be cancelled; from any thread."""
        with self._attempt.scheduler.lock:
            if self._stage is not _Stage.QUIET:
                return
            self._stage = _Stage.ASKED
        self._attempt.scheduler.pump_soon()

    # Where a step is called.

    def at_call(self, branch: Branch, key: str) -> None:
        """A sync step is about to be looked up, or to begin.

        Raises:
            RunCancelled, CancelledError: the cancellation strikes here.
        """
        if branch.path or self._stage is _Stage.QUIET:
            return
        if self._stage is _Stage.STRUCK:
            self.raise_if_due()
        elif self._strikes_at_call():
            self._strike_at_call(branch, key)
        elif self._stage is _Stage.COMING and branch.task is None and self._attempt.journal.next_key("") != key:
            gate = Lock()
            gate.acquire()
            with self.waiting(branch, gate.release):
                self._attempt.scheduler.rest_thread(branch)
                gate.acquire()
            self._attempt.check()
            self.raise_if_due()

    async def at_async_call(self, branch: Branch, key: str) -> None:
        """As `at_call`, of an async step."""
        if self._stage in (_Stage.QUIET, _Stage.STRUCK):
            return
        expected = self._attempt.journal.next_key(branch.path)
        if not branch.path and self._strikes_at_call():
            from .step_call import call_async

            with self._striking():
                await call_async(_async_step(), branch, (key,), {})
            raise cancelled_error(_MESSAGE)
        if expected == key or (self._stage is _Stage.ASKED and expected is not None):
            return
        # Neither recorded nor to begin: on replay it may be that its branch has only recorded what it did behind this.
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
        """While the step that stores it is called."""
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
        from .step_call import call

        with self._striking():
            call(_step(), branch, (key,), {})
        if branch.task is not None:
            raise cancelled_error(_MESSAGE)
        raise RunCancelled(_MESSAGE)

    # Where the main branch waits.

    @contextmanager
    def waiting(self, branch: Branch, wake: Callable[[], object]) -> Iterator[None]:
        """While a branch's thread waits for something that `wake` ends."""
        if branch.path:
            yield
            return
        self._wake = wake
        try:
            yield
        finally:
            self._wake = None

    def due(self, branch: Branch) -> bool:
        """Whether a branch's thread is to be told."""
        return self._due and not branch.path

    def raise_if_due(self) -> None:
        """Tell the main branch's thread, which asks.

        Raises:
            RunCancelled: the cancellation has struck, and this is the first place to say so.
        """
        if self._due:
            self._due = False
            raise RunCancelled(_MESSAGE)

    def offer(self) -> None:
        """The run is at rest, and nothing recorded is left to tell it: the cancellation may take its place now."""
        if self._stage is not _Stage.ASKED or self._main is None:
            return
        if self._wake is None if self._task is None else self._task.done():
            return
        attempt, scheduler = self._attempt, self._attempt.scheduler
        self._stage, scheduler.keeps_order = _Stage.COMING, True
        outcome = Outcome(result=_IN_A_WAIT)
        outcome.ordinal, outcome.clock = scheduler.accept()
        delivery = Delivery(self._main, outcome.ordinal, outcome.clock, self._strike)
        scheduler.wait_live(delivery)
        checkpoint = attempt.checkpoint(CANCEL_KEY, CANCEL_KEY, outcome, time.monotonic_ns())

        def settle(settled: Settled) -> None:
            with suppress(ControlSignal):
                attempt.judge(settled, CANCEL_KEY)
                attempt.steps_done += 1
                scheduler.stored(delivery)

        if attempt.loop_committer is not None and self._task is not None:
            attempt.submit(checkpoint, settle)
            return
        # The run rests, and whoever found that out may have better to do than to wait for the store.
        OwnedThread(
            lambda: settle(attempt.committer.commit(checkpoint, attempt.given_up)),
            name="perdure-cancels",
            died=self._not_stored,
        ).start()

    def _not_stored(self, error: BaseException) -> None:
        self._attempt.interrupt(Released(f"the cancellation could not be stored: {error!r}"))

    def _strike(self) -> None:
        """Its turn has come."""
        attempt, main = self._attempt, self._main
        if attempt.signal is not None or main is None:
            return
        if self._task is not None and self._task.done():
            # Its last outcome came before. The workflow has ended as it did.
            return
        self._stage = _Stage.STRUCK
        if self._task is not None:
            self._task.cancel(_MESSAGE)
        else:
            self._due = True
            if self._wake is not None:
                self._wake()
            else:
                # Its thread runs a step's body, and will be told behind that.
                attempt.scheduler.running.discard(main)
        self._has_struck()

    def _is_kept(self) -> bool:
        """Whether it came while an outcome was on its way to the main branch, which has not waited since."""
        return self._main is not None and self._main.cancel_pending and self._main.cancel_message is _MESSAGE

    def _has_struck(self) -> None:
        attempt = self._attempt
        attempt.scheduler.keeps_order = False
        held, self._held = self._held, []
        for future in held:
            if not future.done():
                future.set_result(None)
        if self._began is not None and attempt.journal.cancellation is None:
            self._began(self._seconds)


def allow_cleanup(attempt: Attempt, began: Callable[[float], None] | None = None) -> None:
    """Let an attempt's workflow clean up if its run is cancelled, where it declares that; before it is executed.

    Args:
        attempt: the attempt.
        began: told for how many seconds the workflow may clean up, once a cancellation has reached it.
    """
    claimed = attempt.claimed
    if claimed.cleanup is not None:
        cancellation = Cancellation(attempt, claimed.cleanup, asked=claimed.cancelled, began=began)
        attempt.cancellation, attempt.scheduler.offer = cancellation, cancellation.offer


@lru_cache(maxsize=1)
def _step() -> StepDefinition:
    from ..definitions import StepDefinition

    def cancel(at: str) -> dict[str, str]:
        return {"at": at}

    return StepDefinition(cancel, CANCEL_KEY, reserved=True)


@lru_cache(maxsize=1)
def _async_step() -> StepDefinition:
    from ..definitions import StepDefinition

    async def cancel(at: str) -> dict[str, Any]:
        return {"at": at}

    return StepDefinition(cancel, CANCEL_KEY, reserved=True)
