"""Threads and processes that workflow code starts behind Perdure's back.

A thread started the plain way has an empty context, in which a step looks like the plain function: it would run undurably
and nobody would know. So while runs are executed here, `threading.Thread.start` and `ThreadPoolExecutor.submit` mark what workflow code gives
them, and a step called there is an error. A forked process is marked likewise.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..context import CURRENT
from .branch import Branch

if TYPE_CHECKING:
    from .attempt import Attempt

__all__ = ["watch"]

_attempts: WeakSet[Attempt] = WeakSet()
_installed = threading.Lock()
_watching = False


def watch(attempt: Attempt) -> None:
    """From now on, code that this attempt's workflow runs elsewhere is known for what it is."""
    global _watching
    with _installed:
        _attempts.add(attempt)
        if _watching:
            return
        _watching = True
    os.register_at_fork(after_in_child=_forked)
    _mark(threading.Thread, "start", _started)
    _mark(ThreadPoolExecutor, "submit", _submitted)


def _forked() -> None:
    for attempt in list(_attempts):
        attempt.forked = True


def _mark(owner: type, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(owner, name)

    @functools.wraps(original)
    def marked(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return wrapper(self, original, *args, **kwargs)

    setattr(owner, name, marked)


def _started(thread: threading.Thread, original: Callable[..., Any]) -> Any:
    current = CURRENT.get()
    if isinstance(current, Branch):
        run = thread.run

        def marked() -> None:
            CURRENT.set(current)
            run()

        thread.run = marked  # type: ignore[method-assign]
    return original(thread)


def _submitted(pool: ThreadPoolExecutor, original: Callable[..., Any], fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    current = CURRENT.get()
    if not isinstance(current, Branch):
        return original(pool, fn, *args, **kwargs)

    def marked(*args: Any, **kwargs: Any) -> Any:
        token = CURRENT.set(current)
        try:
            return fn(*args, **kwargs)
        finally:
            CURRENT.reset(token)

    # A pool thread that this very call starts must not inherit the mark for good.
    token = CURRENT.set(None)
    try:
        return original(pool, marked, *args, **kwargs)
    finally:
        CURRENT.reset(token)
