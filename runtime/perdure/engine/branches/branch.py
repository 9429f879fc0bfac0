"""A branch of a run: the workflow function itself, or a task or thread that it started, numbered where it was created.

A branch belongs to one task or one thread. Its path, made of the numbers of its ancestors and its own, is the prefix of
its steps' keys. So a key depends on the actions of the workflow alone: not on which branch calls a step first, nor on
the Python version.
"""

from __future__ import annotations

import asyncio
from threading import get_ident
from typing import TYPE_CHECKING

from ...names import StepKey, child_path, path_order, step_key

if TYPE_CHECKING:
    from .attempt import Attempt

__all__ = ["Branch"]


class Branch:
    """One branch. Only its `task`, or its `thread`, may call its steps."""

    __slots__ = (
        "attempt",
        "cancel_message",
        "cancel_pending",
        "children",
        "counts",
        "in_step",
        "loop",
        "path",
        "task",
        "thread",
    )

    def __init__(self, attempt: Attempt, path: str = "") -> None:
        self.attempt = attempt
        self.path = path
        self.children = 0
        self.counts: dict[str, int] = {}
        self.task: asyncio.Task[object] | None = None
        self.thread: int | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.in_step = False
        """Whether the body of an async step runs in its task."""
        self.cancel_pending = False
        self.cancel_message: object = None

    def child(self) -> Branch:
        """Create the next child of this branch."""
        self.children += 1
        return Branch(self.attempt, child_path(self.path, self.children))

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts branches as they were created, each before its children."""
        return path_order(self.path)

    def next_key(self, name: str) -> StepKey:
        """Count a call of the step `name`, and return its key."""
        occurrence = self.counts.get(name, 0) + 1
        self.counts[name] = occurrence
        return step_key(self.path, name, occurrence)

    def upcoming_key(self, name: str) -> StepKey:
        """The key that the next call of `next_key` returns."""
        return step_key(self.path, name, self.counts.get(name, 0) + 1)

    def settle_here(self) -> None:
        """Make the calling thread, with the loop that runs in it, the branch's own."""
        self.thread = get_ident()
        self.loop = asyncio._get_running_loop()

    def is_here(self) -> bool:
        """Whether the calling code runs in this branch's own task or thread."""
        if self.task is None:
            # A sync workflow may run a loop by itself. Its tasks would take turns in an order that is not recorded.
            return self.thread == get_ident() and asyncio._get_running_loop() is self.loop
        try:
            return asyncio.current_task() is self.task
        except RuntimeError:
            return False
