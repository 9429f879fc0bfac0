"""A branch of a run: the workflow function itself, or a task or thread that it started, numbered where it was created.

A branch belongs to one task or one thread. The path of its numbers is the front of its steps' keys, so it depends on
nothing but what the workflow does: not on who calls a step first, nor on the Python version.
"""

from __future__ import annotations

import asyncio
from threading import get_ident
from typing import TYPE_CHECKING

from ..names import StepKey, child_path, path_order, step_key

if TYPE_CHECKING:
    from .attempt import Attempt

__all__ = ["Branch"]


class Branch:
    """One branch. `task` or `thread` is who may call its steps."""

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
        """The next branch that this one creates."""
        self.children += 1
        return Branch(self.attempt, child_path(self.path, self.children))

    @property
    def order(self) -> tuple[int, ...]:
        """Sorts branches as they were created, each before its children."""
        return path_order(self.path)

    def next_key(self, name: str) -> StepKey:
        """The key of the step of this name that the branch calls now."""
        occurrence = self.counts.get(name, 0) + 1
        self.counts[name] = occurrence
        return step_key(self.path, name, occurrence)

    def upcoming_key(self, name: str) -> StepKey:
        """The key that `next_key` is about to give."""
        return step_key(self.path, name, self.counts.get(name, 0) + 1)

    def settle_here(self) -> None:
        """The asking thread is the branch's own."""
        self.thread = get_ident()
        self.loop = asyncio._get_running_loop()

    def is_here(self) -> bool:
        """Whether the code that asks runs in this branch's own task or thread."""
        if self.task is None:
            # In a loop that a sync workflow runs by itself, tasks would take turns in no recorded order.
            return self.thread == get_ident() and asyncio._get_running_loop() is self.loop
        try:
            return asyncio.current_task() is self.task
        except RuntimeError:
            return False
