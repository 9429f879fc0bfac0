"""An event loop that finds the run of each callback in the callback's context.

It counts the callbacks of each run's tasks, so that the scheduler notices when the run rests. It keeps the timers of
workflow code on the run's clock. It numbers tasks as branches where they are created, by workflow code or by asyncio
(gather, task groups, wait_for). Callbacks outside of runs, and in the bodies of steps, it leaves to asyncio.
"""

from __future__ import annotations

import asyncio
import heapq
import selectors
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import Context, copy_context
from threading import get_ident
from types import FrameType
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from ...errors import ControlSignal, StepCallError
from ..branches.branch import Branch
from ..branches.context import CURRENT
from ..branches.ctrl_c import interrupts
from ..branches.hand_out import hand_out
from ..branches.handles import ForeignHandle, LookHandle, RunHandle
from ..order.host_loop import Counted, HostLoop
from ..order.timers import ScheduledTimer
from ..threads.naps import BranchFuture
from .task_origin import origin_of_task

if TYPE_CHECKING:
    from ..branches.attempt import Attempt

__all__ = ["BranchTask", "RunLoop"]

_WRAP_FUTURE = asyncio.wrap_future.__code__


class RunTimer(asyncio.TimerHandle):
    """A timer in real time, which drops its context when it is cancelled.

    asyncio keeps cancelled timers as long as they are few. The context of a timer that a step's body set would keep the
    run in memory for as long.
    """

    __slots__ = ()

    def cancel(self) -> None:
        super().cancel()
        self._context = None


class BranchTask(asyncio.Task[Any]):
    """A task of workflow code.

    Its hash depends on the run and its number alone, so that sets of tasks have the same order on every replay.
    """

    def __init__(self, coro: Coroutine[Any, Any, Any], branch: Branch, **options: Any) -> None:
        # Before `super().__init__`, which may put the task into a set and so needs its hash.
        self.branch = branch
        self.number = branch.attempt.next_task_number()
        self.cancel_message: Any = None
        """The message of the last cancellation. A step's body may replace the CancelledError that carries it."""
        super().__init__(coro, **options)

    def cancel(self, msg: Any = None) -> bool:
        self.cancel_message = msg
        return super().cancel(msg)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class RunLoop(HostLoop):
    """The loop in which async workflows run."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        # Each loop has its own: only one thread at a time can enter a context.
        self.outside = Context()
        super().__init__(selector)
        self._thread = get_ident()
        self._foreseen: dict[int, BranchTask] = {}
        """Tasks of an `as_completed` that asyncio has yet to create, by the id of their coroutine."""
        self._watched: dict[tuple[int, str], Callable[[], None]] = {}
        """Files and sockets of workflow code that count as outside, with the function that ends this."""
        self._generators: dict[int, tuple[ref[Attempt], str]] = {}
        """By an async generator's id: its attempt, which it must not keep alive, and the branch that will close it."""
        self._task_step: type | None = None
        """The type of the callback by which a task schedules its next step. asyncio's C code has no name for it."""
        self._stop_asked = False
        """Whether `stop` was called since `run_forever` began."""
        self.runs: RunHandle | None = None
        """The callback that runs now, if it belongs to a run."""
        self.forked = False
        """Whether this is a copy of the loop, in a process that one of its callbacks forked."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report an error, but no ControlSignal: an attempt's end reaches callbacks and unawaited futures, too."""
        if not isinstance(context.get("exception"), ControlSignal):
            super().call_exception_handler(context)

    def run_forever(self) -> None:
        self._stop_asked = False
        while True:
            try:
                super().run_forever()
            except (SystemExit, KeyboardInterrupt) as error:
                if interrupts(error):
                    raise
                # A callback of no task raised it, such as a timer of a step's body. It must not end this loop's runs.
                said = f"a callback raised {type(error).__name__}, which ends nothing in this loop"
                self.call_exception_handler({"message": said, "exception": error})
                if not self._stop_asked:
                    continue
            return

    def stop(self) -> None:
        self._stop_asked = True
        super().stop()

    def is_mine(self) -> bool:
        """Whether the calling thread is the loop's."""
        return get_ident() == self._thread

    def bind_thread(self) -> None:
        """Make the calling thread the loop's: it will run the loop."""
        self._thread = get_ident()

    # Callbacks, futures, timers and watched files of a run.

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        if context is None:
            context = copy_context()
        current = context.get(CURRENT)
        if current is None:
            handle = asyncio.Handle(callback, args, self, context)
        else:
            runs = self.runs
            if current.__class__ is not Branch:
                handle = RunHandle(callback, args, self, context)
                handle._scheduler = None
            elif runs is not None and runs.asks_again_for(callback):
                # Not counted in `busy`: a callback that gives itself to the loop for ever would keep the run from rest.
                handle = LookHandle(callback, args, self, context)
                handle._scheduler = None
                handle._looks_at = scheduler = current.attempt.scheduler
                scheduler.looks(handle)
            else:
                handle = RunHandle(callback, args, self, context)
                handle._scheduler = scheduler = current.attempt.scheduler
                scheduler.busy += 1
                # After its first step, a task schedules its own next step only in sleep(0).
                polling = scheduler.polling
                polling.yields = polling.yields + 1 if callback.__class__ is self._task_step else 0
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if self.is_mine() and asyncio._get_running_loop() is self:
            # The callback counts at once, so the run does not rest before it.
            self._check_closed()  # type: ignore[attr-defined]
            return self.call_soon(callback, *args, context=context)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def _call_soon(self, callback: Callable[..., object], args: Any, context: Context | None) -> asyncio.Handle:
        # Called for `call_soon_threadsafe` from other threads. Only the loop's thread changes `busy`, so the callback
        # counts once the loop runs it.
        if context is None:
            context = copy_context()
        current = context.get(CURRENT)
        if current is None:
            return super()._call_soon(callback, args, context)  # type: ignore[misc,no-any-return]
        handle = ForeignHandle(callback, args, self, context)
        handle._scheduler = current.attempt.scheduler if current.__class__ is Branch else None
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = super().create_future()
        current = CURRENT.get()
        # Only in a branch: a coroutine whose frame was read keeps it, with 400 bytes, for as long as it waits.
        if current.__class__ is Branch:
            frame = sys._getframe(1)
            if frame.f_code is _WRAP_FUTURE and not isinstance(frame.f_locals["future"], BranchFuture):
                # The wrapped future is of another executor, or of `run_in_executor`.
                back = hand_out(current.attempt.scheduler, awaited=True)
                future.add_done_callback(lambda _: back(), context=self.outside)
        return future

    def time(self) -> float:
        current = CURRENT.get()
        if current.__class__ is Branch:
            return current.attempt.scheduler.now
        return self.real_time()

    def real_time(self) -> float:
        """Seconds on the loop's own clock, outside of every run."""
        return super().time()

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        current = CURRENT.get()
        if current.__class__ is Branch:
            return current.attempt.scheduler.add_timer(when, callback, args, context)
        timer = RunTimer(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        self._watch(_number(fd), "read")
        return super()._add_reader(fd, callback, *args)  # type: ignore[misc]

    def _add_writer(self, fd: Any, callback: Any, *args: Any) -> Any:
        self._watch(_number(fd), "write")
        return super()._add_writer(fd, callback, *args)  # type: ignore[misc]

    def _remove_reader(self, fd: Any) -> Any:
        removed = super()._remove_reader(fd)  # type: ignore[misc]
        self._unwatch(_number(fd), "read")
        return removed

    def _remove_writer(self, fd: Any) -> Any:
        removed = super()._remove_writer(fd)  # type: ignore[misc]
        self._unwatch(_number(fd), "write")
        return removed

    def _watch(self, fd: int, how: str) -> None:
        """Count a file or socket of workflow code as outside, for as long as the loop watches it."""
        current = CURRENT.get()
        if current.__class__ is Branch and (fd, how) not in self._watched:
            self._watched[fd, how] = hand_out(current.attempt.scheduler, awaited=False)

    def _unwatch(self, fd: int, how: str) -> None:
        back = self._watched.pop((fd, how), None)
        if back is not None:
            # In a later callback: this one may not count in `busy`, and it may yet schedule callbacks of the run.
            self.call_soon(back, context=self.outside)

    # Calls of schedulers.

    def call_in_loop(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> None:
        """Call `callback` in the loop's thread, in `context` or outside of every run; not if the loop is closed."""
        try:
            self.call_soon_threadsafe(callback, *args, context=self.outside if context is None else context)
        except RuntimeError:
            # A thread can outlive its run and the loop. The test comes after the call, since the loop could close in
            # between.
            if not self.is_closed():
                raise

    def real_later(self, delay: float, callback: Callable[..., object]) -> asyncio.TimerHandle:
        """Call `callback` after `delay` seconds of real time, outside of every run."""
        return super().call_at(self.real_time() + max(0.0, delay), callback, context=self.outside)

    def run_timer(self, timer: ScheduledTimer, scheduler: Counted) -> None:
        """Schedule a due timer of workflow code, and count it as a callback of its run."""
        handle = RunHandle(_run_timer, (timer,), self, self.outside)
        handle._scheduler = scheduler
        scheduler.busy += 1
        self._ready.append(handle)  # type: ignore[attr-defined]

    # Tasks.

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None, **options: Any
    ) -> asyncio.Task[Any]:
        parent = context.get(CURRENT) if context else CURRENT.get()
        if parent is None or parent.__class__ is not Branch:
            return super().create_task(coro, name=name, context=context, **options)
        if (foreseen := self._foreseen.pop(id(coro), None)) is not None:
            return foreseen
        origin, frame = origin_of_task()
        if origin == "as_completed" and frame is not None:
            self._foresee(parent, frame)
            return self._foreseen.pop(id(coro))
        if origin == "wait_for" and parent.is_here():
            return self._branch_task(coro, parent, name, context, continues=True)
        return self._branch_task(coro, parent.child(), name, context)

    def start_branch(self, coro: Coroutine[Any, Any, Any], branch: Branch) -> asyncio.Task[Any]:
        """Create the task of a run's main branch."""
        return self._branch_task(coro, branch, None, Context())

    def _branch_task(
        self,
        coro: Coroutine[Any, Any, Any],
        branch: Branch,
        name: str | None,
        context: Context | None,
        *,
        continues: bool = False,
    ) -> BranchTask:
        attempt = branch.attempt
        if "anyio" in sys.modules:
            from .anyio_scopes import keep_order  # most processes do not use anyio

            keep_order()
        context = copy_context() if context is None else context.copy()
        context.run(CURRENT.set, branch)
        task = BranchTask(coro, branch, loop=self, name=name, context=context)
        self._task_step = self._ready[-1]._callback.__class__  # type: ignore[attr-defined]
        attempt.scheduler.polling.yields = 0
        attempt.tasks.add(task)
        if continues:
            # The calling task waits until this one has ended, so the branch belongs to one task at any time.
            outer, branch.task = branch.task, task
            task.add_done_callback(lambda done: _give_back(branch, outer, attempt.tasks, done), context=self.outside)
        else:
            branch.task = task
            if branch.path:
                attempt.scheduler.branches += 1
            task.add_done_callback(_ended, context=self.outside)
        return task

    # Async generators that workflow code leaves before their end.

    def _asyncgen_firstiter_hook(self, agen: Any) -> None:
        super()._asyncgen_firstiter_hook(agen)  # type: ignore[misc]
        current = CURRENT.get()
        if current.__class__ is not Branch:
            return
        if len(self._generators) > 64 + 2 * len(self._asyncgens):  # type: ignore[attr-defined]
            living = {id(one) for one in self._asyncgens}  # type: ignore[attr-defined]
            self._generators = {key: kept for key, kept in self._generators.items() if key in living}
        # The branch gets its number here: the time of the generator's end may depend on garbage collection.
        self._generators[id(agen)] = (ref(current.attempt), current.child().path)

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        kept = self._generators.pop(id(agen), None)
        if kept is None:
            super()._asyncgen_finalizer_hook(agen)  # type: ignore[misc]
            return
        self._asyncgens.discard(agen)  # type: ignore[attr-defined]
        attempt = kept[0]()
        if attempt is None:
            return
        branch = Branch(attempt, kept[1])
        context = copy_context()
        context.run(CURRENT.set, branch)
        # Garbage collection may call this hook in any thread.
        self.call_in_loop(self._close_generator, agen, branch, context=context)

    def _close_generator(self, agen: Any, branch: Branch) -> None:
        self._branch_task(agen.aclose(), branch, None, None)  # type: ignore[unused-awaitable]  # attempt.tasks has it

    def _foresee(self, parent: Branch, frame: FrameType) -> None:
        """Create the tasks of an `as_completed` in the order of the caller's list: asyncio goes through a set."""
        given = frame.f_locals.get("aws", frame.f_locals.get("fs"))
        if not isinstance(given, Sequence | Mapping | type({}.keys()) | type({}.values())):
            raise StepCallError(
                f"asyncio.as_completed over a {type(given).__name__} of coroutines starts them in no fixed order, so"
                " that it cannot be repeated on replay; give it a list"
            )
        for one in given:
            if asyncio.iscoroutine(one) and id(one) not in self._foreseen:
                self._foreseen[id(one)] = self._branch_task(one, parent.child(), None, None)


def _number(fd: Any) -> int:
    return fd if isinstance(fd, int) else int(fd.fileno())


def _run_timer(timer: ScheduledTimer) -> None:
    # A callback that ran since the timer fell due may have cancelled it.
    if not timer.cancelled():
        timer._run()


def _give_back(
    branch: Branch, outer: asyncio.Task[object] | None, tasks: set[BranchTask], done: asyncio.Task[Any]
) -> None:
    tasks.discard(cast("BranchTask", done))
    if branch.attempt.signal is not None and not done.cancelled():
        done.exception()
    if branch.task is done:
        branch.task = outer


def _ended(task: asyncio.Task[Any]) -> None:
    task = cast("BranchTask", task)
    branch = task.branch
    branch.attempt.tasks.discard(task)
    if branch.path:
        branch.attempt.scheduler.branches -= 1
    if branch.attempt.signal is not None and not task.cancelled():
        # The attempt's signal ends all its tasks. Reading the exception keeps asyncio from reporting it as unread.
        task.exception()
