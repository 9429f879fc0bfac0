"""Distinguishes Ctrl-C from a KeyboardInterrupt that user code raises by itself.

Python raises KeyboardInterrupt in the main thread when SIGINT arrives. This interrupt is not an outcome of a step or a
run. A KeyboardInterrupt that code raises without a signal is an error like any other, so that the code ends in the same
way in each mode of running it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

__all__ = ["install", "interrupts", "noted"]

_arrived = False


def interrupts(error: BaseException | None) -> bool:
    """Whether an error is the KeyboardInterrupt of a SIGINT that `install` or `noted` has noted."""
    return _arrived and isinstance(error, KeyboardInterrupt) and _in_main_thread()


def install() -> None:
    """Note each SIGINT from now on, in a process that runs one attempt. SIGINT still raises KeyboardInterrupt."""
    signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    global _arrived  # noqa: PLW0603 signals are the process's
    _arrived = True
    raise KeyboardInterrupt


@contextmanager
def noted() -> Iterator[None]:
    """Note each SIGINT while the context lasts, and pass it on to the handler that was set before.

    Only the main thread may set handlers, and SIGINT raises only there. In other threads, and in a process without a
    handler for SIGINT, this does nothing.
    """
    global _arrived  # noqa: PLW0603 signals are the process's
    before: Callable[[int, FrameType | None], Any] | int | None = signal.getsignal(signal.SIGINT)
    if not _in_main_thread() or not callable(before):
        yield
        return
    handler = before

    def note(number: int, frame: FrameType | None) -> None:
        global _arrived  # noqa: PLW0603
        _arrived = True
        handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        _arrived = False
        # Code may have set a handler of its own meanwhile, and that handler stays.
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
