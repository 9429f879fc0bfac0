"""Notices threads of workflow code that are blocked by something Perdure does not know, and lets the run go on.

Without it a thread that waits for another's lock would keep the run from coming to rest for ever. This is a guess, so
no verdict ever rests on it.
"""

from __future__ import annotations

import platform
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import Released
from ..owned_thread import OwnedThread
from .delivery import Strand

if TYPE_CHECKING:
    from .attempt import Attempt

__all__ = ["ThreadWatch"]

_IDLE = 0.06
"""Seconds without processor time after which a thread of workflow code is taken to wait."""

_FUTEX = {"x86_64": b"202", "aarch64": b"98"}.get(platform.machine())
"""The number of the system call in which a thread waits for a lock."""


class ThreadWatch:
    """Watches the threads of one attempt."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._last: dict[Strand, tuple[float, float]] = {}
        OwnedThread(self._watch, name="perdure-thread-watch", died=self._died).start()

    def _died(self, error: BaseException) -> None:
        """Nobody would notice that the run stands still."""
        self._attempt.interrupt(Released(f"the thread that watches its threads died: {error!r}"))

    def _watch(self) -> None:
        scheduler = self._attempt.scheduler
        while not self._attempt.over.wait(0.02):
            with scheduler.lock:
                waiting = scheduler.running and not scheduler.busy and scheduler.deliverable()
                running = {b: b.thread for b in scheduler.running if b.thread is not None} if waiting else {}
                if not running or len(running) < len(scheduler.running):
                    self._last.clear()
                    continue
                head = scheduler.journal.head()
                behind = 0.0 if head is None else head.clock / 1e6 - scheduler.now
                blocked = all(  # each is looked at, whatever the first says
                    [self._blocked(branch, thread, behind) for branch, thread in running.items()]  # noqa: C419
                )
            if blocked:
                self._last.clear()
                if (loop := self._attempt.loop) is not None:
                    loop.call_in_loop(partial(scheduler.pump, force=True))
                else:
                    scheduler.pump(force=True)

    def _blocked(self, branch: Strand, thread: int, behind: float) -> bool:
        """Whether a thread waits: for a lock, or for the outside, which on replay gets the time that it had."""
        try:
            used = time.clock_gettime(time.pthread_getcpuclockid(thread))
        except (OSError, AttributeError):
            return False
        now = time.monotonic()
        before = self._last.get(branch)
        if before is None or before[0] != used:
            self._last[branch] = (used, now)
            return False
        idle = now - before[1]
        return idle > _IDLE and (idle > behind or _waits_for_lock(thread))


def _waits_for_lock(thread: int) -> bool:
    """Whether a thread waits for a lock, where the system tells; else it is taken to."""
    native = next((one.native_id for one in threading.enumerate() if one.ident == thread), None)
    if _FUTEX is not None and native is not None:
        with suppress(OSError):
            return Path(f"/proc/self/task/{native}/syscall").read_bytes().startswith(_FUTEX + b" ")
    return True
