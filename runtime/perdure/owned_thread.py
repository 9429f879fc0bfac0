"""Threads of our own, none of which ends unheard.

A thread that dies of an error takes nothing else with it: what it was to do stays undone while everything around it
looks alive. So each has an owner, who is told in the dying thread and ends whatever depends on it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context

__all__ = ["Died", "OwnedThread"]

Died = Callable[[BaseException], object]
"""Learns what ended a thread before its time. Called in that thread, as its last act."""


class OwnedThread:
    """A daemon thread, in an empty context: what the code that starts it carries is not its own.

    Args:
        target: what it does.
        name: for people.
        died: learns what `target` raised.
    """

    def __init__(self, target: Callable[[], object], *, name: str, died: Died) -> None:
        self._target: Callable[[], object] | None = target
        self._died = died
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    @property
    def name(self) -> str:
        """What people call it."""
        return self._thread.name

    def start(self) -> OwnedThread:
        """Begin. Returns itself."""
        Context().run(self._thread.start)
        return self

    def is_alive(self) -> bool:
        """Whether it works."""
        return self._thread.is_alive()

    def is_here(self) -> bool:
        """Whether it is the asking thread."""
        return self._thread is threading.current_thread()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout)

    def _work(self) -> None:
        # Nothing of what it works on outlives it because somebody still has the thread.
        target, self._target = self._target, None
        assert target is not None
        try:
            target()
        except BaseException as error:  # noqa: BLE001 whoever owns the thread judges it
            self._died(error)
