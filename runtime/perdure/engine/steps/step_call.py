"""A step call in a workflow: replayed from its checkpoint, or run, stored and delivered to the workflow in its turn."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from ...errors import DefinitionError, NondeterminismError, StepCallError, ValueNotReadable, ValueNotStorable
from ...names import RESERVED_PREFIX
from ...serialization.failures.failure import Failure
from ...serialization.fingerprint import NOT_TAKEN, Taken, shown_call
from ...store.attempts.checkpoint import Answer, CallKind
from ..branches.branch import Branch
from ..branches.context import StepContext
from ..branches.unchanged import guard_arguments
from ..branches.unstored import Unstored
from ..order.delivery import Delivery
from ..order.journal import Recorded
from ..order.outcome import Outcome, cancelled_error, raise_error, refused
from ..order.place import Place
from .settling import settle, settle_in_thread
from .step_body import run_async_body, run_body
from .turn import Turn

if TYPE_CHECKING:
    from ...definitions import StepDefinition

__all__ = ["call", "call_async"]


def call(step: StepDefinition, branch: Branch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """Call a sync step in a branch."""
    attempt = branch.attempt
    key, taken = _enter(step, branch, args, kwargs)
    if attempt.cancellation is not None:
        attempt.cancellation.at_call(branch, key)
    # Special cases are tested before their functions are called: a call costs more than the test.
    recorded = _look_up(step, branch, key, taken, args, kwargs) if attempt.journal.size else None
    scheduler = attempt.scheduler
    # In an async workflow a sync step holds the loop. So its outcome has no turn: the workflow uses it at once, live
    # and on replay.
    inline = branch.task is not None
    # Read before the body runs, as on replay: events that come during the body are not there yet on replay.
    lone = scheduler.lone
    if recorded is not None:
        _await_recorded(branch, recorded, lone=lone, inline=inline)
        return _replayed(step, branch, recorded)
    # Before any wait, in which other code of the run may change them.
    guard = None if taken.changeable is None else guard_arguments(step, branch, taken, args, kwargs, inline=inline)
    if not inline and not lone:
        scheduler.rest_thread(branch)
    _await_past(step, branch, lone=lone, inline=inline)
    # After the wait, in which the attempt may have ended.
    attempt.enter_step()
    started = time.monotonic_ns()
    attempt.started(key)
    gate = _shut_gate()
    place = Place(scheduler, branch, started, gate.release, alone=inline or lone, fingerprint=taken.digits)
    context = StepContext(branch, key, guard)
    outcome = run_body(step, context, args, kwargs, place if step.database else None)
    if not outcome.stored:
        place.take(outcome)
    try:
        stored = outcome.stored or _store(step, branch, key, outcome, started)
    finally:
        # After an error, too: the outcomes with later ordinals wait for this one.
        if place.delivery is not None:
            scheduler.stored(place.delivery)
    if place.delivery is not None:
        # The gate opens at the outcome's turn, or at the end of the attempt.
        gate.acquire()
        attempt.check()
    place.passed(outcome)
    # Otherwise `Unstored` calls `finished`, once the outcome is stored.
    if stored:
        attempt.finished(key, outcome, started)
    if outcome.raised is not None:
        raise_error(outcome.raised)
    return outcome.value


def _await_past(step: StepDefinition, branch: Branch, *, lone: bool, inline: bool) -> None:
    """Before a body runs, wait until the past is settled, and the store has all outcomes that the workflow has used.

    A sync step of an async workflow holds the loop in which the past is settled, so it does not wait for that. Reserved
    steps, such as the one that stores a cancellation, have no effects and wait for nothing.
    """
    attempt = branch.attempt
    if not (inline or attempt.scheduler.settled):
        settle_in_thread(step, branch, lone=lone)
    unstored = attempt.unstored
    if unstored is None or not unstored.pending or step.name.startswith(RESERVED_PREFIX):
        return
    if inline:
        unstored.hold()
    else:
        unstored.wait_in_thread()


def _await_recorded(branch: Branch, recorded: Recorded, *, lone: bool, inline: bool) -> None:
    scheduler = branch.attempt.scheduler
    if lone or inline:
        recorded.consumed = True
        scheduler.passed(recorded.clock)
        return
    gate = _shut_gate()
    # Before the thread rests: at rest, a record that no branch waits for counts as one that is not called any more.
    scheduler.wait_recorded(Delivery(branch, recorded.ordinal, recorded.clock, gate.release))
    scheduler.rest_thread(branch)
    gate.acquire()
    branch.attempt.check()


def _shut_gate() -> Lock:
    """An acquired lock; the scheduler releases it to end a wait for it."""
    gate = Lock()
    gate.acquire()
    return gate


def _store(step: StepDefinition, branch: Branch, key: str, outcome: Outcome, started: int) -> bool:
    """Commit an outcome and wait for the answer. If Postgres refuses the outcome, an error is stored in its place.

    False where the branch's loop must not wait any longer: then `Unstored` stores the outcome in the background.
    """
    attempt = branch.attempt
    if branch.task is not None and attempt.inline_committer is not None:
        if attempt.unstored is None:
            attempt.unstored = Unstored(attempt, attempt.inline_committer)
        return attempt.unstored.store(step, key, outcome, started)
    if attempt.unstored is not None:
        # This outcome may depend on outcomes that the workflow has used: those are stored first.
        attempt.unstored.wait_in_thread()
    checkpoint = attempt.checkpoint(CallKind.STEP, key, step.name, outcome, started)
    settled = attempt.committer.commit(checkpoint, attempt.given_up)
    if isinstance(settled, ValueNotStorable) and refused(outcome, settled):
        checkpoint = attempt.checkpoint(CallKind.STEP, key, step.name, outcome, started)
        settled = attempt.committer.commit(checkpoint, attempt.given_up)
    attempt.judge(settled, key)
    return True


async def call_async(step: StepDefinition, branch: Branch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """Call an async step in a branch.

    Functions that await in special cases alone are called in these cases alone: each call makes a coroutine, and those
    coroutines took a fifth of the engine's time for a step.
    """
    task = branch.task
    if task is None:
        raise StepCallError(
            f"step {step.name!r} is async and was called in a sync workflow or in a thread: make the workflow async,"
            " or the step sync"
        )
    if branch.cancel_pending or task._must_cancel:  # type: ignore[attr-defined]
        await _take_cancel(branch)
    attempt = branch.attempt
    key, taken = _enter(step, branch, args, kwargs)
    if attempt.cancellation is not None:
        await attempt.cancellation.at_async_call(branch, key)
    recorded = _look_up(step, branch, key, taken, args, kwargs) if attempt.journal.size else None
    # Read before the body runs, as in `call`.
    lone = attempt.scheduler.lone
    if recorded is not None:
        return await _replay_async(step, branch, recorded, lone=lone)
    asked = task.cancelling()
    guard = None if taken.changeable is None else guard_arguments(step, branch, taken, args, kwargs, inline=False)
    outcome = None
    if not attempt.scheduler.settled:
        outcome = await settle(step, branch, lone=lone)
    if outcome is None and not attempt.may_begin():
        await attempt.stand_back()
    started = time.monotonic_ns()
    turn = Turn(branch)
    place = Place(attempt.scheduler, branch, started, turn.wake, alone=lone, fingerprint=taken.digits)
    if outcome is None:
        attempt.started(key)
        branch.in_step = True
        try:
            outcome = await run_async_body(step, StepContext(branch, key, guard), args, kwargs, place)
        finally:
            branch.in_step = False
    _submit(step, key, outcome, place, turn)
    try:
        await turn
    except asyncio.CancelledError:
        await turn.come_all_the_same()
    attempt.check()
    if turn.settled is not None and turn.settled is not Answer.DONE:
        await _mind_refusal(step, branch, key, outcome, started, turn)
    place.passed(outcome)
    attempt.finished(key, outcome, started)
    return _told(outcome, turn, task, asked)


def _told(outcome: Outcome, turn: Turn, task: asyncio.Task[object], asked: int) -> object:
    """Return the value of an async step's outcome to the workflow, or raise its error.

    `asked` is `task.cancelling()` from before the step began.
    """
    if outcome.cancelled:
        raise cancelled_error(outcome.message)
    if turn.struck:
        _keep_cancel(turn.branch, turn.message)
    elif task.cancelling() > asked:
        _keep_cancel(turn.branch, getattr(task, "cancel_message", None))
    if outcome.raised is not None:
        raise_error(outcome.raised)
    return outcome.value


def _submit(step: StepDefinition, key: str, outcome: Outcome, place: Place, turn: Turn) -> None:
    """Send an async step's outcome to the store, unless it is stored already; `turn` gets the answer."""
    if outcome.stored:
        turn.delivery = place.delivery
        turn.settle(None)
        return
    place.take(outcome)
    # Before the answer comes: `settle` wakes a turn without a delivery at once.
    turn.delivery = place.delivery
    attempt = turn.branch.attempt
    attempt.submit(attempt.checkpoint(CallKind.STEP, key, step.name, outcome, place.started), turn.settle)


async def _mind_refusal(
    step: StepDefinition, branch: Branch, key: str, outcome: Outcome, started: int, turn: Turn
) -> None:
    """Handle any answer of the store but DONE. If Postgres refuses a value, an error is stored in its place.

    Raises:
        ControlSignal: the attempt ends.
    """
    settled = turn.settled
    if isinstance(settled, ValueNotStorable) and refused(outcome, settled):
        # The outcome's turn has come already, so the error needs no other.
        again = Turn(branch)
        branch.attempt.submit(branch.attempt.checkpoint(CallKind.STEP, key, step.name, outcome, started), again.settle)
        await again.come()
        settled = again.settled
        if again.struck and not turn.struck:
            turn.struck, turn.message = True, again.message
    assert settled is not None
    branch.attempt.judge(settled, key)


async def _replay_async(step: StepDefinition, branch: Branch, recorded: Recorded, *, lone: bool) -> object:
    scheduler = branch.attempt.scheduler
    if lone and not recorded.cancelled:
        recorded.consumed = True
        scheduler.passed(recorded.clock)
        return _replayed(step, branch, recorded)
    turn = Turn(branch)
    turn.delivery = Delivery(branch, recorded.ordinal, recorded.clock, turn.wake)
    scheduler.wait_recorded(turn.delivery)
    await turn.come()
    if recorded.cancelled:
        branch.attempt.replayed(recorded.key, recorded)
        raise cancelled_error(turn.message)
    if turn.struck:
        _keep_cancel(branch, turn.message)
    return _replayed(step, branch, recorded)


def _enter(step: StepDefinition, branch: Branch, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[str, Taken]:
    attempt = branch.attempt
    if attempt.signal is not None:
        attempt.check()
    fingerprint = step.fingerprint
    taken = NOT_TAKEN if fingerprint is None else fingerprint.take(args, kwargs, attempt.keyed)
    return branch.next_key(step.name), taken


def _look_up(
    step: StepDefinition, branch: Branch, key: str, taken: Taken, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Recorded | None:
    attempt = branch.attempt
    try:
        return attempt.journal.take(
            CallKind.STEP, branch.path, key, taken.digits, partial(shown_call, step.function, step.name, args, kwargs)
        )
    except NondeterminismError as error:
        raise attempt.stop(error) from None


def _replayed(step: StepDefinition, branch: Branch, recorded: Recorded) -> object:
    branch.attempt.replayed(recorded.key, recorded)
    if recorded.error is not None:
        raise_error(Failure.from_json(recorded.error).revive())
    assert recorded.result is not None
    try:
        return step.codec.decode(recorded.result)
    except (ValueNotReadable, DefinitionError) as error:
        raise branch.attempt.stop(error) from error


async def _take_cancel(branch: Branch) -> None:
    """Raise a cancellation that is on its way to the branch before its step begins, live and on replay."""
    if branch.cancel_pending:
        branch.cancel_pending = False
        if branch.task is not None and branch.task.cancelling():
            branch.attempt.check()
            raise cancelled_error(branch.cancel_message)
    if branch.task._must_cancel:  # type: ignore[union-attr]
        # The task cancelled itself. asyncio raises the cancellation at the next wait.
        await asyncio.sleep(0)


def _keep_cancel(branch: Branch, message: Any) -> None:
    """A cancellation that came while an outcome was on its way takes effect at the branch's next wait.

    The outcome is in the store, so the step did not end cancelled; and a cancellation must not get lost.
    """
    branch.cancel_pending, branch.cancel_message = True, message
    loop = branch.attempt.loop
    assert loop is not None
    loop.call_soon(_push_cancel, branch)


def _push_cancel(branch: Branch) -> None:
    """Cancel the branch's next wait; until the branch waits, try again in each round of the loop."""
    task = branch.task
    if not branch.cancel_pending or task is None:
        return
    if task.done():
        return
    if not task.cancelling():
        # The workflow has withdrawn the cancellation, as `asyncio.timeout` does.
        branch.cancel_pending = False
        return
    waits_for = task._fut_waiter  # type: ignore[attr-defined]
    if waits_for is None:
        loop = branch.attempt.loop
        assert loop is not None
        loop.call_soon(_push_cancel, branch)
        return
    branch.cancel_pending = False
    # Not `task.cancel`, which would count one more request.
    waits_for.cancel(branch.cancel_message)
