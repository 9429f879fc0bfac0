"""The signals that a supervisor handles, and how they wake it."""

from __future__ import annotations

import signal
from types import FrameType

from .channel import WakePipe

__all__ = ["HANDLED", "StopSignals", "hold_signals"]

_STOPPING = (signal.SIGTERM, signal.SIGINT)
HANDLED = (*_STOPPING, signal.SIGCHLD)


def hold_signals() -> None:
    """Keep signals waiting until a supervisor handles them.

    To be called as early as possible in the life of `perdure exec`: on a process that is PID 1 of its container a
    signal without a handler is lost, and the pod would run on until the end of its grace period.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)


class StopSignals:
    """Counts SIGTERM and SIGINT, and wakes the supervisor for them and for SIGCHLD. They are held up to here."""

    def __init__(self, wake: WakePipe) -> None:
        self.count = 0
        signal.set_wakeup_fd(wake.writing_fd, warn_on_full_buffer=False)
        for number in _STOPPING:
            signal.signal(number, self._count)
        # Without a handler of Python's the pipe would not be written.
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)

    def _count(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
