"""Threads whose branches are numbered: `ThreadPoolExecutor` for sync workflows, `to_thread` for async ones.

A branch is numbered when it is submitted, so keys do not depend on which thread runs first. What a branch's end
lets others do is delivered like a step's outcome: at rest, lowest branch first.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, nullcontext, suppress
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from ..context import CURRENT
from ..errors import ControlSignal, StepCallError
from .branch import Branch
from .foreign import end_fork

if TYPE_CHECKING:
    from .attempt import Attempt

__all__ = ["ThreadPoolExecutor", "to_thread"]

P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[[], Callable[[], None]]
"""Runs something, and returns what is to be called once the thread has its next work."""

_IDLE = 0.06
"""Seconds without processor time after which a thread of workflow code is taken to wait for a lock of its own."""


def _branch() -> Branch | None:
    current = CURRENT.get()
    return current if isinstance(current, Branch) else None


def _threads_branch() -> Branch | None:
    """The branch whose thread this is; None outside of runs, in steps and in tasks."""
    branch = _branch()
    return branch if branch is not None and branch.task is None else None


@contextmanager
def _at_rest(branch: Branch) -> Iterator[None]:
    """While this thread, which is the branch's, waits for something."""
    lane = branch.attempt.lane
    lane.rest_thread(branch)
    try:
        yield
    finally:
        lane.resume_thread(branch)


@contextmanager
def _told(branch: Branch, wake: Callable[[], object]) -> Iterator[None]:
    """While this thread, which is the branch's, waits for what `wake` ends: the run's cancellation may strike here."""
    cancellation = branch.attempt.cancellation
    if cancellation is None or branch.path:
        yield
        return
    cancellation.raise_if_due()
    try:
        with cancellation.waiting(branch, wake):
            yield
    finally:
        cancellation.raise_if_due()


class _RestingEvent(threading.Event):
    """The event for which `concurrent.futures.wait` and `as_completed` wait: who waits for it is at rest."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[Branch] = []

    def wait(self, timeout: float | None = None) -> bool:
        branch = _threads_branch()
        if branch is None or self.is_set():
            return super().wait(timeout)
        self._sleepers.append(branch)
        try:
            with _told(branch, super().set), _at_rest(branch):
                return super().wait(timeout)
        finally:
            with suppress(ValueError):
                self._sleepers.remove(branch)

    def set(self) -> None:
        sleepers, self._sleepers = self._sleepers, []
        for branch in sleepers:
            branch.attempt.lane.resume_thread(branch)
        super().set()


class _Waiters(list[Any]):
    """The list in which `concurrent.futures` notes who waits for a future."""

    def append(self, waiter: Any) -> None:
        if not isinstance(waiter.event, _RestingEvent):
            waiter.event = _RestingEvent()
        super().append(waiter)


class BranchFuture(Future[T]):
    """A future of a branch. Its hash is its number, so that sets of futures have the same order on replay."""

    def __init__(self, branch: Branch) -> None:
        super().__init__()
        self._waiters = _Waiters()
        self._branch = branch
        self._number = branch.attempt.next_task_number()
        self._sleepers: list[Branch] = []

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other

    def result(self, timeout: float | None = None) -> T:
        return self._wait(super().result, timeout)  # type: ignore[no-any-return]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        return self._wait(super().exception, timeout)  # type: ignore[no-any-return]

    def _wait(self, get: Callable[[float | None], Any], timeout: float | None) -> Any:
        branch = _threads_branch()
        if branch is None:
            return get(timeout)
        with branch.attempt.lane.lock:
            if self.done():
                return get(timeout)
            self._sleepers.append(branch)
        try:
            with _told(branch, self._look_up), _at_rest(branch):
                if (cancellation := branch.attempt.cancellation) is not None:
                    with self._condition:
                        self._condition.wait_for(lambda: self.done() or cancellation.due(branch), timeout)
                    timeout = 0
                return get(timeout)
        finally:
            with suppress(ValueError):
                self._sleepers.remove(branch)
            branch.attempt.check()

    def _look_up(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def deliver(self, result: Any, error: BaseException | None) -> None:
        """Tell those who wait; they count as running from here on."""
        for branch in self._sleepers:
            self._branch.attempt.lane.running.add(branch)
        if error is not None:
            self.set_exception(error)
        else:
            self.set_result(result)


class ThreadPoolExecutor(Executor):
    """An executor for workflow code: what is submitted runs in a thread of its own branch and may call steps.

    Use it as `concurrent.futures.ThreadPoolExecutor`, with `submit`, `map`, `wait` and `as_completed`. Outside a
    workflow it is a plain pool of threads.
    """

    def __init__(self, max_workers: int = 8) -> None:
        if max_workers < 1:
            raise ValueError("max_workers is 1 or more")
        self._max = max_workers
        self._active = 0
        self._queue: deque[tuple[Work, Branch | None]] = deque()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._shut = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread, as a branch of the run that submits it."""
        with self._lock:
            if self._shut:
                raise RuntimeError("cannot submit to a ThreadPoolExecutor that was shut down")
        parent = _branch()
        if parent is None:
            future: Future[T] = Future()
            context = copy_context()
            self.give(lambda: _run_plain(future, context, fn, args, kwargs), None)
            return future
        if not parent.is_here():
            raise StepCallError("submit work of a workflow from the workflow's own task or thread")
        parent.attempt.check()
        branch = parent.child()
        owned = BranchFuture[T](branch)
        _open(branch)
        context = copy_context()
        self.give(lambda: _run_branch(branch, context, lambda: fn(*args, **kwargs), owned.deliver, owned), branch)
        return owned

    def give(self, work: Work, branch: Branch | None) -> None:
        """Run a branch's work in a thread, at once or when one is free."""
        with self._lock:
            if self._active >= self._max:
                self._queue.append((work, branch))
                return
            self._active += 1
        _begins(branch)
        thread = threading.Thread(target=self._work, args=(work,), name="perdure-branch", daemon=True)
        with self._lock:
            self._threads.add(thread)
        # The thread's context is empty; `foreign` marks threads that workflow code starts, and this one is ours.
        Context().run(thread.start)

    def _work(self, work: Work) -> None:
        while True:
            ended = work()
            with self._lock:
                following = self._queue.popleft() if self._queue else None
                if following is None:
                    self._active -= 1
                    self._threads.discard(threading.current_thread())
            # The next branch begins before this one's end is told, so that the run does not seem at rest between them.
            if following is not None:
                _begins(following[1])
            ended()
            if following is None:
                return
            work = following[0]

    def shutdown(
        self,
        wait: bool = True,  # noqa: FBT001, FBT002  as in concurrent.futures
        *,
        cancel_futures: bool = False,
    ) -> None:
        """Take no more work; wait for what was submitted."""
        with self._lock:
            self._shut = True
            if cancel_futures:
                self._queue.clear()
            threads = list(self._threads)
        if not wait:
            return
        branch = _threads_branch()
        with nullcontext() if branch is None else _at_rest(branch):
            for thread in threads:
                thread.join()


def _begins(branch: Branch | None) -> None:
    if branch is not None:
        branch.attempt.lane.resume_thread(branch)


def _open(branch: Branch) -> None:
    attempt = branch.attempt
    with attempt.lane.lock:
        attempt.lane.branches += 1
    attempt.watch_threads()


def _run_plain(
    future: Future[Any], context: Context, fn: Callable[..., Any], args: Any, kwargs: Any
) -> Callable[[], None]:
    if future.set_running_or_notify_cancel():
        try:
            result = context.run(fn, *args, **kwargs)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
    return lambda: None


def _run_branch(
    branch: Branch,
    context: Context,
    call: Callable[[], Any],
    deliver: Callable[[Any, BaseException | None], None],
    future: Future[Any] | None,
) -> Callable[[], None]:
    """Run a branch in this thread. What this returns tells of its end, in its turn."""
    attempt = branch.attempt
    lane = attempt.lane
    result: Any = None
    failure: BaseException | None = None
    branch.settle_here()
    context.run(CURRENT.set, branch)
    if future is None or future.set_running_or_notify_cancel():
        try:
            attempt.check()
            result = context.run(call)
        except BaseException as error:
            failure = error
        if attempt.forked:
            end_fork("a branch of the workflow", failure)

    def ended() -> None:
        lane.branches -= 1
        if future is None or not future.cancelled():
            deliver(result, failure)

    return lambda: lane.complete(branch, ended)


async def to_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread that may call sync steps, and wait for it; outside a workflow `asyncio.to_thread`."""
    current = CURRENT.get()
    if not isinstance(current, Branch):
        return await asyncio.to_thread(function, *args, **kwargs)
    if not current.is_here():
        raise StepCallError("perdure.to_thread was called from a task that is no branch of the run")
    attempt = current.attempt
    attempt.check()
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if isinstance(error, StopIteration):
            error = RuntimeError(f"the function given to to_thread raised StopIteration: {error}")
        if error is not None:
            future.set_exception(error)
            if isinstance(error, ControlSignal):
                future.exception()
        else:
            future.set_result(result)

    branch = current.child()
    _open(branch)
    context = copy_context()
    attempt.threads().give(
        lambda: _run_branch(branch, context, lambda: function(*args, **kwargs), deliver, None), branch
    )
    return await future


class ThreadWatch:
    """Notices threads of workflow code that are blocked by something Perdure does not know, and lets the run go on.

    Without it a thread that waits for another's lock would keep the run from coming to rest for ever.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._last: dict[Branch, tuple[float, float]] = {}
        thread = threading.Thread(target=self._watch, name="perdure-thread-watch", daemon=True)
        Context().run(thread.start)

    def _watch(self) -> None:
        lane = self._attempt.lane
        while not self._attempt.over.wait(0.02):
            with lane.lock:
                waiting = lane.running and not lane.busy and lane.deliverable()
                running = {b: b.thread for b in lane.running if b.thread is not None} if waiting else {}
                if not running or len(running) < len(lane.running):
                    self._last.clear()
                    continue
                blocked = all(  # each is looked at, whatever the first says
                    [self._blocked(branch, thread) for branch, thread in running.items()]  # noqa: C419
                )
            if blocked:
                self._last.clear()
                if (loop := self._attempt.loop) is not None:
                    loop.call_in_loop(partial(lane.pump, force=True))
                else:
                    lane.pump(force=True)

    def _blocked(self, branch: Branch, thread: int) -> bool:
        try:
            used = time.clock_gettime(time.pthread_getcpuclockid(thread))
        except (OSError, AttributeError):
            return False
        now = time.monotonic()
        before = self._last.get(branch)
        if before is None or before[0] != used:
            self._last[branch] = (used, now)
            return False
        return now - before[1] > _IDLE
