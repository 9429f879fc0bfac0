"""The order in which a cancelled scope of anyio reaches its tasks: that in which they were created.

anyio keeps the scopes within a scope in a set, where their order is that of their addresses: another one in each
process. Workflow code that a cancellation reaches calls steps, so it must be reached in the same order on replay.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

__all__ = ["keep_order"]

_BACKEND = "anyio._backends._asyncio"
_kept: list[type] = []


def keep_order() -> None:
    """From now on scopes are reached in order, if the process uses anyio, in a version that is built as we know it."""
    module = sys.modules.get(_BACKEND)
    scope = getattr(module, "CancelScope", None)
    if scope is None or scope in _kept:
        return
    _kept.append(scope)
    if hasattr(scope, "_deliver_cancellation"):
        scope._deliver_cancellation = _in_order(scope._deliver_cancellation)


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


def _number(scope: Any) -> Any:
    """That of the task that entered a scope; None for one that is no run's."""
    return getattr(getattr(scope, "_host_task", None), "number", None)
