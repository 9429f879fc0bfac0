"""What an attempt asks of the event loop in which its tasks run: `loop.RunLoop` is such a loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Protocol

from .timers import ScheduledTimer

__all__ = ["Counted", "HostLoop"]


class Counted(Protocol):
    """What counts the callbacks of a run's tasks: `scheduler.Scheduler` does."""

    busy: int
    abandoned: bool

    def leave(self) -> None:
        """A callback that `busy` counts ran or was cancelled."""


class HostLoop(asyncio.SelectorEventLoop):
    """A loop that may run the tasks of many runs."""

    outside: Context
    """The context of what belongs to no run."""

    forked: bool
    """Whether this is a copy, in a process that was forked by one of its callbacks."""

    runs: Any
    """The callback of a run's task that runs now."""

    def is_mine(self) -> bool:
        """Whether the asking thread is the loop's."""
        raise NotImplementedError

    def call_in_loop(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> None:
        """Call something in the loop's thread, outside of every run or in `context`; nothing once it is closed."""
        raise NotImplementedError

    def real_later(self, delay: float, callback: Callable[..., object]) -> asyncio.TimerHandle:
        """Call something after `delay` seconds of real time, outside of every run."""
        raise NotImplementedError

    def start_branch(self, coro: Coroutine[Any, Any, Any], branch: Any) -> asyncio.Task[Any]:
        """The task of a run's main branch, which is a `branch.Branch`."""
        raise NotImplementedError

    def run_timer(self, timer: ScheduledTimer, scheduler: Counted) -> None:
        """Run a due timer of workflow code, and count that as a callback of its run."""
        raise NotImplementedError
