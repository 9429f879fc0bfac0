"""The interface of the event loop in which an attempt's tasks run: `loop.RunLoop` implements it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Protocol

from .timers import ScheduledTimer

__all__ = ["Counted", "HostLoop"]


class Counted(Protocol):
    """A counter of the callbacks of a run's tasks: `scheduler.Scheduler` is one."""

    busy: int
    """Callbacks that the loop has yet to run."""

    abandoned: bool
    """Whether the loop drops these callbacks."""

    def leave(self) -> None:
        """Count down `busy`: a callback ran or was cancelled."""


class HostLoop(asyncio.SelectorEventLoop):
    """A loop that may run the tasks of many runs."""

    outside: Context
    """The context of callbacks outside of every run."""

    forked: bool
    """Whether this is a copy of the loop, in a process that one of its callbacks forked."""

    runs: Any
    """The callback that runs now, if it belongs to a run."""

    def is_mine(self) -> bool:
        """Whether the calling thread is the loop's."""
        raise NotImplementedError

    def call_in_loop(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> None:
        """Call `callback` in the loop's thread, in `context` or outside of every run; not if the loop is closed."""
        raise NotImplementedError

    def real_later(self, delay: float, callback: Callable[..., object]) -> asyncio.TimerHandle:
        """Call `callback` after `delay` seconds of real time, outside of every run."""
        raise NotImplementedError

    def start_branch(self, coro: Coroutine[Any, Any, Any], branch: Any) -> asyncio.Task[Any]:
        """Create the task of a run's main branch, which is a `branch.Branch`."""
        raise NotImplementedError

    def run_timer(self, timer: ScheduledTimer, scheduler: Counted) -> None:
        """Schedule a due timer of workflow code, and count it as a callback of its run."""
        raise NotImplementedError
