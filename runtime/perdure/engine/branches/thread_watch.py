"""Finds threads of workflow code that are blocked by something Perdure cannot see, and lets the run go on.

Without this a thread that waits for another thread's lock would keep the run from coming to rest for ever. That a
thread is blocked is a guess, so no verdict ever rests on it.
"""

from __future__ import annotations

import platform
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import Released
from ...owned_thread import OwnedThread
from ..order.delivery import Strand

if TYPE_CHECKING:
    from .attempt import Attempt

__all__ = ["ThreadWatch"]

_IDLE = 0.06
"""Seconds without processor time after which a thread of workflow code counts as waiting."""

_FUTEX = {"x86_64": b"202", "aarch64": b"98"}.get(platform.machine())
"""The number of the system call in which a thread waits for a lock; None on other machines."""


class ThreadWatch:
    """Watches the threads of one attempt, from a thread of its own, until the attempt is over."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._last: dict[Strand, tuple[float, float]] = {}
        """The processor time of each branch's thread, and when it was first read at this value; in seconds."""
        OwnedThread(self._watch, name="perdure-thread-watch", died=self._died).start()

    def _died(self, error: BaseException) -> None:
        """End the attempt: without the watch its run could stand still unnoticed."""
        self._attempt.interrupt(Released(f"the thread that watches its threads died: {error!r}"))

    def _watch(self) -> None:
        scheduler = self._attempt.scheduler
        while not self._attempt.over.wait(0.02):
            # A branch's thread takes the lock before it ends. The processor time of an ended thread must not be read.
            with scheduler.lock:
                waiting = scheduler.running and not scheduler.busy and scheduler.deliverable()
                running = {b: b.thread for b in scheduler.running if b.thread is not None} if waiting else {}
                # A branch without a thread is about to begin or to end: the run goes on by itself.
                if not running or len(running) < len(scheduler.running):
                    self._last.clear()
                    continue
                head = scheduler.journal.head()
                behind = 0.0 if head is None else head.clock / 1e6 - max(scheduler.now, head.began / 1e6)
                blocked = all(  # a list, so that the time of each thread is read
                    [self._blocked(branch, thread, behind) for branch, thread in running.items()]  # noqa: C419
                )
            if blocked:
                self._last.clear()
                if (loop := self._attempt.loop) is not None:
                    loop.call_in_loop(partial(scheduler.pump, force=True))
                else:
                    scheduler.pump(force=True)

    def _blocked(self, branch: Strand, thread: int, behind: float) -> bool:
        """Whether a thread waits: for a lock, or for the outside, which on replay gets the time that it had.

        `behind`: seconds of the run's clock until the next recorded outcome.
        """
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
    """Whether a thread waits for a lock, by its system call; True where the system does not show the call."""
    native = next((one.native_id for one in threading.enumerate() if one.ident == thread), None)
    if _FUTEX is not None and native is not None:
        with suppress(OSError):
            return Path(f"/proc/self/task/{native}/syscall").read_bytes().startswith(_FUTEX + b" ")
    return True
