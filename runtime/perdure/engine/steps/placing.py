"""Places the waits of a run at rest: if each wait is placed, the run calls no further step without an event.

A placed wait is for a step's outcome, a timer, another branch's end, or a lock, queue or group of asyncio or anyio,
which another branch sets. Any code, in the run or outside, may set a bare future, so a wait for a bare future counts
as a wait for the outside.
"""

from __future__ import annotations

import asyncio
import gc
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..tasks.steadfast import SteadfastFuture

if TYPE_CHECKING:
    from ..branches.attempt import Attempt
    from ..tasks.loop import BranchTask

__all__ = ["unseen"]

_SET_BY_BRANCHES = ("asyncio.locks", "asyncio.queues", "asyncio.taskgroups", "asyncio.timeouts", "perdure.engine.")
_ANYIO = "anyio._backends._asyncio"
_ANYIO_SET_BY_BRANCHES = frozenset({"acquire", "acquire_on_behalf_of", "wait", "start", "__aexit__"})


def unseen(attempt: Attempt) -> str | None:
    """Where a run at rest waits for something that Perdure cannot see; None if each of its waits is placed."""
    for task in sorted(attempt.tasks, key=lambda task: task.number):
        if not task.done() and not _is_ours(task):
            return f"{_named(task.branch.path)} waits at {_place(task)}"
    if attempt.scheduler.outside:
        return "threads, sockets or executors that its own code uses are at work"
    return None


def _named(path: str) -> str:
    return f"branch {path!r}" if path else "the workflow"


def _is_ours(task: BranchTask) -> bool:
    waits_for = task._fut_waiter  # type: ignore[attr-defined]
    if waits_for is None or _is_our_future(waits_for, task.branch.attempt):
        return True
    # Locks and queues wait for bare futures, too: the innermost frame shows which code awaits this one.
    frames = _frames(task)
    return bool(frames) and _is_our_frame(frames[-1], task.branch.attempt)


def _is_our_future(future: Any, attempt: Attempt) -> bool:
    if not asyncio.isfuture(future) or future.done() or isinstance(future, SteadfastFuture):
        return True
    if isinstance(future, asyncio.Task):
        branch = getattr(future, "branch", None)
        return branch is not None and branch.attempt is attempt
    children = getattr(future, "_children", None)
    if children is not None:
        return all(_is_our_future(child, attempt) for child in children)
    shielded = _shielded(future)
    return shielded is not None and _is_our_future(shielded, attempt)


def _shielded(future: Any) -> Any:
    """The future that `asyncio.shield` protects, found by the future that it returned; None for any other future."""
    for callback, _ in getattr(future, "_callbacks", None) or ():
        code = getattr(callback, "__code__", None)
        if code is not None and code.co_qualname == "shield.<locals>._outer_done_callback":
            return callback.__closure__[code.co_freevars.index("inner")].cell_contents
    return None


def _is_our_frame(frame: FrameType, attempt: Attempt) -> bool:
    module, function = frame.f_globals.get("__name__", ""), frame.f_code.co_name
    if module.startswith(_SET_BY_BRANCHES):
        return True
    if module == _ANYIO:
        return function in _ANYIO_SET_BY_BRANCHES
    if module != "asyncio.tasks":
        return False
    if function == "_wait":
        return all(_is_our_future(one, attempt) for one in frame.f_locals.get("fs", ()))
    if function in ("wait_for", "_cancel_and_wait"):
        return _is_our_future(frame.f_locals.get("fut"), attempt)
    return function == "sleep"


def _frames(task: BranchTask) -> list[FrameType]:
    """The frames of a suspended task, outermost first."""
    frames: list[FrameType] = []
    at: Any = task.get_coro()
    while at is not None and len(frames) < 1000:
        frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None) or getattr(at, "ag_frame", None)
        if frame is not None:
            frames.append(frame)
            at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None) or getattr(at, "ag_await", None)
        else:
            # The awaitable of an async generator's next value has no attribute for the generator, but refers to it.
            at = next((one for one in gc.get_referents(at) if hasattr(one, "ag_frame")), None)
    return frames


def _place(task: BranchTask) -> str:
    frames = _frames(task)
    if not frames:
        return "an unknown place"
    own = [f for f in frames if not f.f_globals.get("__name__", "").startswith(("asyncio.", "anyio.", "perdure."))]
    frame = (own or frames)[-1]
    return f"{frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}"
