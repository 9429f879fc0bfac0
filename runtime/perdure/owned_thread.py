"""Threads with an owner, which learns of an error that ends its thread.

A thread that dies of an error ends nothing else: its work stays undone while the rest of the process looks alive. So
each thread has an owner: its callback runs in the dying thread, and ends the parts that depend on the thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context

__all__ = ["Died", "OwnedThread"]

Died = Callable[[BaseException], object]
"""Learns what ended a thread before its time. Called in that thread, as its last act."""


class OwnedThread:
    """A daemon thread, in an empty context: it does not inherit the context variables of the code that starts it.

    Args:
        target: the function that it runs.
        name: for people.
        died: gets the error of `target`.
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
        """Whether it is the calling thread."""
        return self._thread is threading.current_thread()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout)

    def _work(self) -> None:
        # A reference to the thread must not keep its objects alive after its end.
        target, self._target = self._target, None
        assert target is not None
        try:
            target()
        except BaseException as error:  # noqa: BLE001 the owner of the thread judges it
            self._died(error)
