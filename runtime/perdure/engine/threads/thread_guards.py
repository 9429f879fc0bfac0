"""Marks the foreign threads, and the processes, that workflow code starts.

A thread started the plain way has an empty context. A step called there would run as a plain function, without a
checkpoint and without notice. So from the first attempt in a process on, `threading.Thread.start`,
`_thread.start_new_thread` and `ThreadPoolExecutor.submit` mark the calls that workflow code gives them, and a step
called there raises StepCallError. These threads and calls count as outside while they are at work, since the engine
cannot foresee their effects on the workflow. A forked process is marked, too, and ends where it would go on with the
run: it has a copy of everything, the connection to the store included.
"""

from __future__ import annotations

import _thread
import functools
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import _base as futures
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ..branches.branch import Branch
from ..branches.context import CURRENT
from ..branches.hand_out import hand_out_to_thread
from .naps import RunTime

if TYPE_CHECKING:
    from ..branches.attempt import Attempt

__all__ = ["watch"]

_attempts: WeakSet[Attempt] = WeakSet()
_installed = threading.Lock()
# Another thread may hold the lock at a fork. In the child this lock would never be released.
os.register_at_fork(after_in_child=_installed._at_fork_reinit)  # type: ignore[attr-defined]
_watching = False


def watch(attempt: Attempt) -> None:
    """From now on, mark the threads, pool calls and forks of this attempt's workflow."""
    global _watching  # noqa: PLW0603  the wrapped functions are the process's
    with _installed:
        _attempts.add(attempt)
        if _watching:
            return
        _watching = True
    os.register_at_fork(after_in_child=_forked)
    _mark(threading.Thread, "start", _started)
    _mark(ThreadPoolExecutor, "submit", _submitted)
    # `as_completed` and `map` compute with this module how long they may still wait.
    vars(futures)["time"] = RunTime()
    _thread.start_new_thread = _bare_start(_thread.start_new_thread)


def _forked() -> None:
    """Mark the copies of attempts and loops in a forked process."""
    for attempt in list(_attempts):
        attempt.forked = True
        if attempt.loop is not None:
            attempt.loop.forked = True


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
        ended = _count(current) if not type(thread).__module__.startswith("anyio.") else _do_nothing

        def marked() -> None:
            CURRENT.set(current)
            try:
                run()
            finally:
                ended()

        thread.run = marked  # type: ignore[method-assign]
    return original(thread)


def _bare_start(original: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(original)
    def start_new_thread(
        function: Callable[..., object], args: Any, kwargs: Mapping[str, Any] = MappingProxyType({}), /
    ) -> int:
        current = CURRENT.get()
        if not isinstance(current, Branch):
            return original(function, args, dict(kwargs))

        ended = _count(current)

        def marked(*args: Any, **kwargs: Any) -> None:
            CURRENT.set(current)
            try:
                function(*args, **kwargs)
            finally:
                ended()

        return original(marked, args, dict(kwargs))

    return start_new_thread


def _submitted(
    pool: ThreadPoolExecutor, original: Callable[..., Any], fn: Callable[..., Any], /, *args: Any, **kwargs: Any
) -> Any:
    current = CURRENT.get()
    if not isinstance(current, Branch):
        return original(pool, fn, *args, **kwargs)

    def marked(*args: Any, **kwargs: Any) -> Any:
        token = CURRENT.set(current)
        try:
            return fn(*args, **kwargs)
        finally:
            CURRENT.reset(token)

    # The call may start a thread of the pool. That thread serves later calls, too, and must not keep this mark.
    token = CURRENT.set(None)
    try:
        future = original(pool, marked, *args, **kwargs)
    finally:
        CURRENT.reset(token)
    ended = _count(current)
    future.add_done_callback(lambda _: ended())
    return future


def _count(branch: Branch) -> Callable[[], None]:
    """Count a thread or call that workflow code has started as outside, until the returned function is called."""
    return hand_out_to_thread(branch.attempt.scheduler)


def _do_nothing() -> None:
    """For threads of anyio, which idle between two pieces of work: `anyio_scopes` counts the pieces."""
