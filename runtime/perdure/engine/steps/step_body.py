"""Runs a step's body: tries, pauses and timeouts, up to the final outcome."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import threading
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from ...errors import ControlSignal, StepTimeout, UsageError, ValueNotStorable
from ..branches.context import CURRENT, StepContext
from ..branches.ctrl_c import interrupts
from ..branches.forked import end_fork
from ..order.outcome import Outcome, failed

if TYPE_CHECKING:
    from ...definitions import StepDefinition
    from ..branches.attempt import Attempt
    from ..branches.unchanged import ArgumentGuard
    from ..order.place import Place

__all__ = ["run_async_body", "run_body"]


class _StopThread(BaseException):
    """Raised in the thread of a step whose timeout is over or whose attempt has ended."""


def run_body(
    step: StepDefinition,
    context: StepContext,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    place: Place | None = None,
) -> Outcome:
    """Run a sync step's body to its final outcome. A result of a database step is in the store then, an error is not.

    Raises:
        ControlSignal: the attempt ends.
    """
    attempt = context.branch.attempt
    token = CURRENT.set(context)
    try:
        while True:
            context.tries += 1
            try:
                if place is not None:
                    from .transaction import transaction  # other steps do without this module

                    return transaction(step, context, lambda: _value(step, context, args, kwargs), place)
                value = _value(step, context, args, kwargs)
                return _result(step, value, context)
            except BaseException as error:
                if _ends_the_attempt(error):
                    raise
                found = _after_failed_try(step, context, error)
                if isinstance(found, Outcome):
                    return found
            attempt.leave_step()
            attempt.paused.wait(found)
            attempt.check()
            attempt.enter_step()
    finally:
        context.active = False
        CURRENT.reset(token)


async def run_async_body(
    step: StepDefinition, context: StepContext, args: tuple[Any, ...], kwargs: dict[str, Any], place: Place
) -> Outcome:
    """As `run_body`, for an async step. The cancellation of its task is an outcome, too.

    Raises:
        ControlSignal: the attempt ends.
    """
    attempt = context.branch.attempt
    task = context.branch.task
    assert task is not None
    asked = task.cancelling()
    token = CURRENT.set(context)
    try:
        while True:
            context.tries += 1
            try:
                if attempt.unstored is not None:
                    await attempt.unstored.wait()
                if step.database:
                    return await _try_in_transaction(step, context, args, kwargs, place)
                value = await _async_value(step, context, args, kwargs)
                if attempt.forked:
                    end_fork(f"step {step.name!r}", None)
                return _result(step, value, context)
            except BaseException as error:
                if _ends_the_attempt(error):
                    raise
                found = _after_failed_async_try(step, context, error, cancelled=task.cancelling() > asked)
                if isinstance(found, Outcome):
                    return found
            attempt.leave_step()
            try:
                await asyncio.sleep(found)
                await attempt.enter_async_step()
            except asyncio.CancelledError as error:
                attempt.check()
                # The step counts as under way again, until its outcome is stored.
                attempt.enter_step()
                return Outcome(tries=context.tries, message=_message(error))
    finally:
        context.active = False
        CURRENT.reset(token)


async def _try_in_transaction(
    step: StepDefinition, context: StepContext, args: tuple[Any, ...], kwargs: dict[str, Any], place: Place
) -> Outcome:
    from .transaction import async_transaction  # other steps do without this module

    return await async_transaction(step, context, lambda: _async_value(step, context, args, kwargs), place)


def _ends_the_attempt(error: BaseException) -> bool:
    return isinstance(error, ControlSignal) or interrupts(error)


def _value(step: StepDefinition, context: StepContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    if not step.entered:
        step.enter()
    if step.timeout is None:
        value = _called(step, context.branch.attempt, args, kwargs)
    else:
        value = _in_time(step, context, args, kwargs)
    if context.guard is not None:
        context.guard.check()
    return value


def _called(step: StepDefinition, attempt: Attempt, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    try:
        value = step.function(*args, **kwargs)
    except BaseException as error:
        if attempt.forked:
            end_fork(f"step {step.name!r}", error)
        raise
    if attempt.forked:
        end_fork(f"step {step.name!r}", None)
    return value


def _async_value(
    step: StepDefinition, context: StepContext, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Awaitable[object]:
    if not step.entered:
        step.enter()
    body: Awaitable[object] = step.function(*args, **kwargs)
    if step.timeout is not None:
        body = _in_time_async(step, body)
    return body if context.guard is None else _guarded(context.guard, body)


async def _guarded(guard: ArgumentGuard, body: Awaitable[object]) -> object:
    value = await body
    guard.check()
    return value


def _result(step: StepDefinition, value: object, context: StepContext) -> Outcome:
    text, value = step.codec.encode(value)
    return Outcome(result=text, value=value, tries=context.tries)


def _after_failed_try(step: StepDefinition, context: StepContext, error: BaseException) -> Outcome | float:
    """The final outcome, or seconds until the next try."""
    found = error if context.guard is None else context.guard.blame(error)
    pause = _pause(step, context, found)
    if pause is None:
        return failed(found, context.tries)
    context.branch.attempt.tried(context.step_key, context.tries, found, pause)
    return pause


def _after_failed_async_try(
    step: StepDefinition, context: StepContext, error: BaseException, *, cancelled: bool
) -> Outcome | float:
    attempt = context.branch.attempt
    if attempt.forked:
        end_fork(f"step {step.name!r}", error)
    attempt.check()
    if cancelled and isinstance(error, asyncio.CancelledError):
        return Outcome(tries=context.tries, message=_message(error))
    return _after_failed_try(step, context, error)


def _pause(step: StepDefinition, context: StepContext, error: BaseException) -> float | None:
    """Seconds until the next try; None if there is none."""
    retry = step.retry
    # Another try makes neither a value storable nor a wrong use of Perdure right.
    if retry is None or isinstance(error, ValueNotStorable | UsageError) or not retry.tries_again(error, context.tries):
        return None
    return retry.pause(context.tries)


def _timed_out(step: StepDefinition) -> StepTimeout:
    return StepTimeout(f"step {step.name!r} ran longer than its timeout of {step.timeout:g} s")


async def _in_time_async(step: StepDefinition, body: Awaitable[object]) -> object:
    limit = asyncio.timeout(step.timeout)
    try:
        async with limit:
            return await body
    except TimeoutError as error:
        if limit.expired():
            raise _timed_out(step) from error
        raise


def _in_time(step: StepDefinition, context: StepContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """Run the body in a thread of its own, and leave the thread behind when the step's timeout is over.

    A thread cannot be stopped. An exception is raised at its next line of Python, so that a loop ends. A call that
    blocks outside of Python goes on until it returns, and its result is dropped.
    """
    attempt: Attempt = context.branch.attempt
    answer: list[tuple[object, BaseException | None]] = []
    here = contextvars.copy_context()

    def body() -> None:
        try:
            answer.append((here.run(_called, step, attempt, args, kwargs), None))
        except BaseException as error:
            answer.append((None, error))

    thread = threading.Thread(target=body, name=f"perdure-step-{step.name[:40]}", daemon=True)
    contextvars.Context().run(thread.start)
    until = time.monotonic() + (step.timeout or 0)
    while thread.is_alive() and (left := until - time.monotonic()) > 0:
        # Every 0.5 s, to notice the end of the attempt.
        thread.join(min(left, 0.5))
        if thread.is_alive() and attempt.signal is not None:
            _stop(thread)
            attempt.check()
    if not answer:
        _stop(thread)
        raise _timed_out(step)
    value, error = answer[0]
    if error is not None:
        raise error
    return value


def _stop(thread: threading.Thread) -> None:
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_StopThread))


def _message(error: asyncio.CancelledError) -> object:
    return error.args[0] if error.args else None
