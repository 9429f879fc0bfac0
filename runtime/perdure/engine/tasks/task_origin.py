"""Finds the tasks that asyncio creates on its own account: their branches are numbered in another way."""

from __future__ import annotations

import sys
from types import FrameType

__all__ = ["origin_of_task"]

_WAIT_FOR_MAKES_TASKS = sys.version_info < (3, 12)
"""Before 3.12, `asyncio.wait_for` ran its coroutine in a task of its own; from 3.12 on in the caller's task."""


def origin_of_task() -> tuple[str | None, FrameType | None]:
    """The function of asyncio that creates a task on its own account, and its frame; None and None for other tasks."""
    frame = sys._getframe(2)  # past this function and the loop's `create_task`
    for _ in range(5):
        name = frame.f_globals.get("__name__", "")
        if not name.startswith("asyncio."):
            return None, None
        function = frame.f_code.co_name
        if function == "as_completed" or frame.f_code.co_qualname.startswith("_AsCompletedIterator"):
            return "as_completed", frame
        if function == "wait_for" and _WAIT_FOR_MAKES_TASKS:
            return "wait_for", frame
        if frame.f_back is None:
            return None, None
        frame = frame.f_back
    return None, None
