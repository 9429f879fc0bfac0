"""The outcome of a step. Of all its tries only the final outcome is stored."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NoReturn

from ...errors import ValueNotStorable
from ...serialization.failures.exception_state import peek, put
from ...serialization.failures.failure import Failure

__all__ = ["Outcome", "cancelled_error", "failed", "forget_frames", "raise_error", "refused"]


@dataclass(slots=True, eq=False)
class Outcome:
    """A step's final outcome: `result` or `error` as JSON text, or neither (cancelled).

    `message` is the message of the cancellation. It is not stored: the code that cancels gives it again on replay.
    `stored` marks the outcome of a database step, which is in the store when the body's transaction has committed.
    `tries` is 0 for a step that was cancelled before its body began.
    """

    result: str | None = None
    error: str | None = None
    value: object = None
    raised: BaseException | None = None
    message: object = None
    stored: bool = False
    tries: int = 1
    ordinal: int = 0
    clock: int = 0
    fingerprint: str | None = None

    @property
    def cancelled(self) -> bool:
        return self.result is None and self.error is None


def cancelled_error(message: object) -> asyncio.CancelledError:
    """The error that asyncio raises for this message. Libraries distinguish their own cancellations by the message."""
    return asyncio.CancelledError() if message is None else asyncio.CancelledError(message)


def failed(error: BaseException, tries: int) -> Outcome:
    """The outcome of a step whose last try raised an error."""
    failure = Failure.of(error)
    # Rebuilt from its record, as on replay: a handler that works now works then, too.
    return Outcome(error=failure.to_json(), raised=failure.revive(), tries=tries)


def raise_error(error: BaseException) -> NoReturn:
    """Raise a step's error with its recorded `__context__`.

    A plain `raise` would replace that with the error that the workflow is handling.
    """
    context = peek(error, "__context__")
    try:
        raise error
    finally:
        if context is not None:
            put(error, "__context__", context)


def forget_frames(error: BaseException) -> None:
    """Drop the engine's frames from an error that `raise_error` raised: they differ between live and replay."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is not None and last.tb_frame.f_code is raise_error.__code__:
        error.__traceback__ = None


def refused(outcome: Outcome, refusal: ValueNotStorable) -> bool:
    """Turn an outcome that the store refuses into an error that it takes. False if the outcome is such an error."""
    if isinstance(outcome.raised, ValueNotStorable):
        return False
    instead = failed(refusal, outcome.tries)
    outcome.result, outcome.value, outcome.error, outcome.raised = None, None, instead.error, instead.raised
    return True
