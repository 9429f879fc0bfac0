"""Fits anyio to runs: a cancelled scope reaches its tasks in the order in which they were created.

anyio keeps the scopes within a scope in a set. The set is ordered by their addresses, which differ in each process.
Workflow code may call steps when a cancellation reaches it, so replay must reach the tasks in the same order.

Calls that anyio runs in threads count as outside, like those of asyncio.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from importlib import import_module
from typing import Any

from ..branches.branch import Branch
from ..branches.context import CURRENT
from ..branches.hand_out import hand_out

__all__ = ["keep_order"]

_BACKEND = "anyio._backends._asyncio"
_kept: list[type] = []
"""The classes that are patched already."""


def keep_order() -> None:
    """Reach scopes in order from now on, if the process uses anyio, in a version with the members that are patched."""
    if _BACKEND not in sys.modules:
        # anyio imports its backend at the first use, which may be in a running task. Then it would be too late, since
        # this function is called where a task is created.
        with suppress(ImportError):
            import_module(_BACKEND)
    module = sys.modules.get(_BACKEND)
    scope = getattr(module, "CancelScope", None)
    if scope is None or scope in _kept:
        return
    _kept.append(scope)
    if hasattr(scope, "_deliver_cancellation"):
        scope._deliver_cancellation = _in_order(scope._deliver_cancellation)
    backend: Any = getattr(module, "AsyncIOBackend", None)
    if hasattr(backend, "run_sync_in_worker_thread"):
        backend.run_sync_in_worker_thread = staticmethod(_counted(backend.run_sync_in_worker_thread))


def _in_order(original: Callable[..., bool]) -> Callable[..., bool]:
    @wraps(original)
    def deliver(scope: Any, origin: Any) -> bool:
        children = getattr(scope, "_child_scopes", ())
        if len(children) < 2 or any(_number(child) is None for child in children):
            return original(scope, origin)
        scope._child_scopes = sorted(children, key=_number)
        try:
            return original(scope, origin)
        finally:
            scope._child_scopes = children

    return deliver


def _counted(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(original)
    async def run_sync_in_worker_thread(*args: Any, **kwargs: Any) -> Any:
        current = CURRENT.get()
        if not isinstance(current, Branch):
            return await original(*args, **kwargs)
        back = hand_out(current.attempt.scheduler, awaited=True)
        try:
            return await original(*args, **kwargs)
        finally:
            back()

    return run_sync_in_worker_thread


def _number(scope: Any) -> Any:
    """The number of the task that entered a scope; None if the task belongs to no run."""
    return getattr(getattr(scope, "_host_task", None), "number", None)
