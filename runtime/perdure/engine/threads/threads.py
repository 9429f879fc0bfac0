"""Threads whose branches are numbered: `ThreadPoolExecutor` for sync workflows, `to_thread` for async ones.

A branch gets its number when it is submitted, so the keys of its steps do not depend on which thread runs first. The
end of a branch is delivered like a step's outcome: with the run at rest, the lowest branch first. A pool begins its
next branch when the end of an earlier one is delivered. So the threads do not decide which calls wait, run or can be
cancelled.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from ...errors import ControlSignal, Released, StepCallError
from ..branches.branch import Branch
from ..branches.context import CURRENT
from ..branches.forked import end_fork
from ..branches.thread_watch import ThreadWatch
from .naps import BranchFuture, Nap, branch_of_thread
from .pool_future import PoolFuture

if TYPE_CHECKING:
    from ..branches.attempt import Attempt

__all__ = ["ThreadPoolExecutor", "to_thread"]

P = ParamSpec("P")
T = TypeVar("T")

_MAX_BRANCH_THREADS = 32


class _Work:
    """A call for a thread of a pool: a branch of a run, or a plain call from outside of runs."""

    __slots__ = ("_call", "_context", "_failure", "_result", "branch", "future", "tell")

    def __init__(
        self,
        branch: Branch | None,
        call: Callable[[], Any],
        tell: Callable[[Any, BaseException | None], None],
        future: Future[Any] | None,
    ) -> None:
        self.branch = branch
        self.future = future
        self.tell = tell
        self._call = call
        self._context = copy_context()
        self._result: Any = None
        self._failure: BaseException | None = None

    def take_place(self) -> None:
        """Mark the call as running: its future cannot be cancelled any more."""
        if self.future is not None:
            self.future.set_running_or_notify_cancel()

    def run(self) -> None:
        """Call the function in this thread, and keep its result or error for `end`."""
        branch = self.branch
        try:
            if branch is not None:
                branch.settle_here()
                self._context.run(CURRENT.set, branch)
                branch.attempt.check()
            self._result = self._context.run(self._call)
        except BaseException as error:
            self._failure = error
        if branch is not None:
            # Callbacks of the finished future run in this call's context, and belong to no branch: a step called there
            # is an error.
            branch.thread = None
            if branch.attempt.forked:
                end_fork("a branch of the workflow", self._failure)

    def end(self) -> None:
        """Deliver the result or error, in the call's context: callbacks of the future then belong to the run."""
        self._context.run(self.tell, self._result, self._failure)


class _Share:
    """The calls that one run has in a pool, or that code outside of runs has there.

    Runs that share a pool have `max_workers` threads each, so no run waits for a thread of another.
    """

    __slots__ = ("__weakref__", "active", "sleepers", "untold", "waiting")

    def __init__(self) -> None:
        self.active = 0
        self.waiting: deque[_Work] = deque()
        self.untold = 0
        """Calls whose end is not delivered yet. A cancelled call counts as delivered."""
        self.sleepers: list[Nap] = []
        """Waits of threads that end when `untold` is zero."""

    def told(self) -> None:
        """Count a delivered end. The last one wakes the threads that wait for it."""
        self.untold -= 1
        if not self.untold:
            sleepers, self.sleepers = self.sleepers, []
            for nap in sleepers:
                nap.wake()


class ThreadPoolExecutor(Executor):
    """An executor for workflow code: each submitted call runs in a thread, as a branch of its own, and may call steps.

    Use it like `concurrent.futures.ThreadPoolExecutor`, with `submit`, `map`, `wait` and `as_completed`. Outside a
    workflow it is a plain pool of threads. Timeouts in workflow code are on the run's clock.

    Args:
        max_workers: how many calls of one run execute at the same time; at least 1.
    """

    def __init__(self, max_workers: int = 8) -> None:
        if max_workers < 1:
            raise ValueError("max_workers is 1 or more")
        self._max = max_workers
        self._shares: WeakKeyDictionary[Attempt, _Share] = WeakKeyDictionary()
        """By attempt; weak, since a pool may outlive the attempts that use it."""
        self._plain = _Share()
        self._lock = threading.RLock()
        self._ready: deque[_Work] = deque()
        """Calls that have a place and wait for a thread."""
        self._looking = 0
        """Threads that have ended a call and are about to look for the next one."""
        self._threads: set[threading.Thread] = set()
        self._shut = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread; in a workflow as a new child of the branch that submits it.

        Raises:
            RuntimeError: the pool was shut down.
            StepCallError: the calling task or thread is not the branch's own.
            ControlSignal: the attempt ends.
        """
        if self._shut:
            raise RuntimeError("cannot submit to a ThreadPoolExecutor that was shut down")
        parent = CURRENT.get()
        if not isinstance(parent, Branch):
            future = PoolFuture[T](self._lock)
            plain = _Work(None, lambda: fn(*args, **kwargs), future.deliver, future)
            future.on_cancel = lambda: self._drop(plain)
            self._give(plain)
            return future
        if not parent.is_here():
            raise StepCallError("submit work of a workflow from the workflow's own task or thread")
        parent.attempt.check()
        branch = parent.child()
        owned = BranchFuture[T](branch)
        work = _Work(branch, lambda: fn(*args, **kwargs), owned.deliver, owned)
        owned.on_cancel = lambda: self._drop(work)
        self._open(work)
        return owned

    def run_branch(
        self, branch: Branch, call: Callable[[], Any], tell: Callable[[Any, BaseException | None], None]
    ) -> None:
        """Run a branch in a thread; `tell` gets its result or error when the end of the branch is delivered."""
        self._open(_Work(branch, call, tell, None))

    def _open(self, work: _Work) -> None:
        branch = work.branch
        assert branch is not None
        scheduler = branch.attempt.scheduler
        with scheduler.lock:
            # Counted at once and not when the thread starts: `lone` must not depend on the threads.
            scheduler.branches += 1
            scheduler.threads[branch] = None
        _watch_threads(branch.attempt)
        self._give(work)

    def _share(self, work: _Work) -> _Share:
        if work.branch is None:
            return self._plain
        return self._share_of(work.branch.attempt)

    def _share_of(self, attempt: Attempt) -> _Share:
        with self._lock:
            share = self._shares.get(attempt)
            if share is None:
                share = self._shares[attempt] = _Share()
            return share

    def _give(self, work: _Work) -> None:
        with self._lock:
            share = self._share(work)
            share.untold += 1
            if share.active >= self._max:
                share.waiting.append(work)
                return
            share.active += 1
            work.take_place()
        # Outside of the pool's lock: `_begin` takes the scheduler's lock, and a delivery takes the pool's under that.
        self._begin(work)

    def _begin(self, work: _Work) -> None:
        """Let a thread run a call that has a place.

        The branch counts as running before its thread starts, so that the run does not seem at rest in between.
        """
        if work.branch is not None:
            work.branch.attempt.scheduler.resume_thread(work.branch)
        with self._lock:
            self._ready.append(work)
            if self._looking >= len(self._ready):
                # As many threads are about to look for a call as there are calls.
                return
            thread = threading.Thread(target=self._run, name="perdure-branch", daemon=True)
            self._threads.add(thread)
        # In an empty context: `thread_guards` would mark the thread in the context of workflow code.
        Context().run(thread.start)

    def _run(self) -> None:
        looked = 0
        while True:
            with self._lock:
                self._looking -= looked
                if not self._ready:
                    self._threads.discard(threading.current_thread())
                    return
                work = self._ready.popleft()
            try:
                self._work_off(work)
            except BaseException as error:
                with self._lock:
                    # `shutdown` would wait for this thread for ever.
                    self._threads.discard(threading.current_thread())
                # Only an error of the call itself is delivered. After this one the run would wait for ever.
                if work.branch is not None:
                    work.branch.attempt.interrupt(Released(f"a thread of the run died: {error!r}"))
                raise
            looked = 1
            del work

    def _work_off(self, work: _Work) -> None:
        work.run()
        # Before the end is delivered: the pool's next call then gets this thread and not a new one.
        with self._lock:
            self._looking += 1
        try:
            if work.branch is None:
                self._ended(work)
            else:
                work.branch.attempt.scheduler.complete(work.branch, partial(self._ended, work))
        except BaseException:
            with self._lock:
                # The next call must not count on a thread that dies.
                self._looking -= 1
            raise

    def _ended(self, work: _Work) -> None:
        """Deliver the end of a call, and give its place to the call that has waited longest."""
        with self._lock:
            share = self._share(work)
            following = share.waiting.popleft() if share.waiting else None
            if following is None:
                share.active -= 1
            else:
                following.take_place()
        if following is not None:
            self._begin(following)
        # Before the delivery: a branch that the delivery wakes may call a step at once, and `lone` is read there.
        _closed(work)
        work.end()
        share.told()

    def _drop(self, work: _Work) -> None:
        """Take a call that waits for a place out of the pool: its future is cancelled."""
        with self._lock:
            share = self._share(work)
            share.waiting.remove(work)
        _closed(work)
        share.told()

    def shutdown(
        self,
        wait: bool = True,  # noqa: FBT001, FBT002  as in concurrent.futures
        *,
        cancel_futures: bool = False,
    ) -> None:
        """Take no more calls, and wait for those that were submitted: in a workflow for the calls of its own run.

        Args:
            wait: whether to wait.
            cancel_futures: whether to cancel the calls that still wait for a place.

        Raises:
            RuntimeError: the calling thread is a thread of this pool, and so would wait for itself.
            StepCallError: a task waits for unfinished calls, and would hold up the event loop that they need.
            ControlSignal: the attempt ends, or its cancellation strikes here.
        """
        self._shut = True
        current = CURRENT.get()
        share = self._share_of(current.attempt) if isinstance(current, Branch) else self._plain
        if cancel_futures:
            for work in list(share.waiting):
                if work.future is not None:
                    work.future.cancel()
        if not wait:
            return
        if threading.current_thread() in self._threads:
            raise RuntimeError("a branch cannot wait for the end of the pool that it runs in")
        branch = branch_of_thread()
        if branch is not None:
            _wait_until_told(share, branch)
        elif isinstance(current, Branch) and share.untold:
            raise StepCallError(
                f"a ThreadPoolExecutor with {share.untold} unfinished calls was shut down in a task, which would"
                " hold up the event loop that they need: await their futures before, or use perdure.to_thread"
            )
        self._join()

    def _join(self) -> None:
        """Wait until the threads have ended; not while a call of any run is unfinished, which may take long."""
        if any(share.untold for share in list(self._shares.values())):
            return
        while threads := list(self._threads):
            for thread in threads:
                thread.join()


def _watch_threads(attempt: Attempt) -> None:
    """Watch the attempt's threads from now on, since they may block each other."""
    with attempt.number_lock:
        if not attempt.has_threads:
            attempt.has_threads = True
            ThreadWatch(attempt)


def _pool_of(attempt: Attempt) -> ThreadPoolExecutor:
    """The pool of `to_thread`, which is made at the attempt's first call of it."""
    with attempt.number_lock:
        if not isinstance(attempt.thread_pool, ThreadPoolExecutor):
            attempt.thread_pool = ThreadPoolExecutor(_MAX_BRANCH_THREADS)
        return attempt.thread_pool


def _closed(work: _Work) -> None:
    """Take a branch that has ended or was cancelled out of the scheduler's counts."""
    if work.branch is not None:
        scheduler = work.branch.attempt.scheduler
        with scheduler.lock:
            scheduler.branches -= 1
            scheduler.threads.pop(work.branch, None)


def _wait_until_told(share: _Share, branch: Branch) -> None:
    """Let a branch's thread wait, at rest, until all ends of a share are delivered."""
    attempt = branch.attempt
    nap = Nap(branch)
    # Ends of branches are delivered under this lock: the last one cannot come between the look and the wait.
    with attempt.scheduler.lock:
        if not share.untold:
            return
        share.sleepers.append(nap)
    nap.rest(None)
    attempt.check()


async def to_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread that may call sync steps, and wait for it. Outside a workflow: `asyncio.to_thread`.

    Raises:
        StepCallError: the calling task is not a branch of the run.
        ControlSignal: the attempt ends.
    """
    current = CURRENT.get()
    if not isinstance(current, Branch):
        return await asyncio.to_thread(function, *args, **kwargs)
    if not current.is_here():
        raise StepCallError("perdure.to_thread was called from a task that is no branch of the run")
    attempt = current.attempt
    attempt.check()
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if isinstance(error, StopIteration):
            # A future of asyncio refuses this error.
            error = RuntimeError(f"the function given to to_thread raised StopIteration: {error}")
        if error is not None:
            future.set_exception(error)
            if isinstance(error, ControlSignal):
                # Marks the error as retrieved: asyncio would log it where no task awaits the future any more.
                future.exception()
        else:
            future.set_result(result)

    _pool_of(attempt).run_branch(current.child(), lambda: function(*args, **kwargs), tell)
    return await future
