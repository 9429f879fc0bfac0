"""Who creates a task: asyncio itself creates some on its own account, which take their number from something else."""

from __future__ import annotations

import sys
from types import FrameType

__all__ = ["origin_of_task"]

_WAIT_FOR_MAKES_TASKS = sys.version_info < (3, 12)
"""Before 3.12, `asyncio.wait_for` ran its coroutine in a task of its own; from 3.12 on in its caller's."""


def origin_of_task() -> tuple[str | None, FrameType | None]:
    """The function of asyncio that creates a task on its own account, if one does, and its frame."""
    frame = sys._getframe(2)
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
