"""Runs a workflow's function, from its input to the end of the attempt."""

from __future__ import annotations

import asyncio
from contextvars import Context
from typing import TYPE_CHECKING

from .. import errors
from ..attempt_results import AttemptResult, Cancelled, Failed, Interrupted, Released, Succeeded, Superseded
from ..errors import (
    CleanupCut,
    ControlSignal,
    NondeterminismError,
    PerdureError,
    RunCancelled,
    RunStopped,
    StepCallError,
)
from .branches.branch import Branch
from .branches.context import CURRENT
from .branches.ctrl_c import interrupts
from .branches.forked import end_fork
from .ends.unwinding import unwind
from .ends.verdict import Verdict
from .threads.thread_guards import watch

if TYPE_CHECKING:
    from ..definitions import WorkflowDefinition
    from .branches.attempt import Attempt

__all__ = ["execute", "execute_async"]


class _CtrlC(errors.Released):
    """Ends an attempt whose workflow was interrupted by SIGINT. What it used is stored first, as at a release."""


def execute(definition: WorkflowDefinition, attempt: Attempt) -> AttemptResult:
    """Run a sync workflow in this thread."""
    _guard(attempt)
    branch = Branch(attempt)
    branch.settle_here()
    context = Context()
    context.run(CURRENT.set, branch)
    attempt.scheduler.resume_thread(branch)
    if attempt.cancellation is not None:
        attempt.cancellation.begin(branch, None)
    value: object = None
    raised: BaseException | None = None
    try:
        args, kwargs = _entered(definition, attempt)
        value = context.run(definition.function, *args, **kwargs)
    except BaseException as error:
        raised = error
    _mind_fork(attempt, raised)
    _mind_ctrl_c(attempt, raised)
    try:
        return _result(definition, attempt, value, raised, {b.path for b in list(attempt.scheduler.threads)})
    finally:
        _close(attempt)


async def execute_async(definition: WorkflowDefinition, attempt: Attempt) -> AttemptResult:
    """Run an async workflow in this loop, which is a `RunLoop`."""
    loop = attempt.loop
    assert loop is not None
    _guard(attempt)
    ends = attempt.ends = loop.create_future()
    branch = Branch(attempt)
    main = loop.start_branch(_main(definition, attempt), branch)
    if attempt.cancellation is not None:
        attempt.cancellation.begin(branch, main)
    # If the attempt ended before `ends` was made, its call of `wake_end` came too early to be waited for.
    if attempt.signal is None:
        # Not by `asyncio.wait`: its frames, sets and future took a kilobyte for each run in flight.
        main.add_done_callback(lambda _: attempt.wake_end(), context=loop.outside)
        await ends
    if not main.done():
        await unwind(attempt)
    value: object = None
    raised: BaseException | None = attempt.signal
    if main.done():
        value, raised = _came_to(main)
        _mind_ctrl_c(attempt, raised)
    if attempt.unstored is not None:
        await attempt.unstored.settle_end()
    try:
        return _result(
            definition,
            attempt,
            value,
            raised,
            {b.path for b in attempt.scheduler.threads}
            | {task.branch.path for task in attempt.tasks if task is not main},
        )
    finally:
        _close(attempt)
        await unwind(attempt)


def _guard(attempt: Attempt) -> None:
    """Set the verdict and the guards of threads, which modules above `attempt` define."""
    attempt.scheduler.stuck = Verdict(attempt).at_rest
    watch(attempt)


def _came_to(main: asyncio.Task[object]) -> tuple[object, BaseException | None]:
    try:
        return main.result(), None
    except BaseException as error:
        return None, error


def _mind_ctrl_c(attempt: Attempt, raised: BaseException | None) -> None:
    """Release the attempt after Ctrl-C, which is not an outcome of the run."""
    if interrupts(raised):
        attempt.interrupt(_CtrlC("interrupted by SIGINT"))


def _mind_fork(attempt: Attempt, raised: BaseException | None) -> None:
    if attempt.forked:
        end_fork("the workflow", raised)


def _entered(definition: WorkflowDefinition, attempt: Attempt) -> tuple[tuple[object, ...], dict[str, object]]:
    """Decode the arguments, and resolve the hint of the result, before the workflow's function is called.

    Raises:
        InputError: the input does not fit the function.
        DefinitionError: a hint cannot be evaluated.
    """
    definition.result.prepare()
    return definition.signature.decode(attempt.claimed.input)


async def _main(definition: WorkflowDefinition, attempt: Attempt) -> object:
    args, kwargs = _entered(definition, attempt)
    try:
        return await definition.function(*args, **kwargs)
    except BaseException as error:
        _mind_fork(attempt, error)
        raise


def _close(attempt: Attempt) -> None:
    """End the attempt, so that no task or thread that the workflow left behind can call a step."""
    attempt.over.set()
    if not attempt.shares_connections:
        attempt.idle_connections.close()
    attempt.interrupt(
        RunStopped(StepCallError("the workflow has ended; a task or thread that it left behind called a step"))
    )


def _result(
    definition: WorkflowDefinition, attempt: Attempt, value: object, raised: BaseException | None, live: set[str]
) -> AttemptResult:
    signal = attempt.signal
    if signal is None and (unclaimed := attempt.journal.unclaimed(live)) is not None:
        signal = RunStopped(unclaimed)
    if isinstance(signal, RunStopped):
        _explain(signal.error, raised)
    if (left := _left(signal)) is not None:
        return left
    if attempt.cancellation is not None and attempt.cancellation.has_struck:
        return _cancelled(signal, raised)
    match signal:
        case RunStopped(error=error):
            return Failed.of(error)
        case RunCancelled():
            return Cancelled()
        case _:
            pass
    if raised is not None:
        return Failed.of(raised)
    try:
        result, _ = definition.result.encode(value)
    except PerdureError as error:
        return Failed.of(error)
    return Succeeded(result)


def _left(signal: ControlSignal | None) -> Superseded | Interrupted | Released | None:
    """The result of an attempt that ends without its run."""
    match signal:
        case errors.Superseded():
            return Superseded(str(signal))
        case _CtrlC():  # a release, too
            return Interrupted()
        case errors.Released():
            return Released(str(signal))
        case _:
            return None


def _explain(error: Exception, raised: BaseException | None) -> None:
    """Chain the error with which the workflow ended by itself: it may be why recorded steps were not called."""
    if not isinstance(error, NondeterminismError) or not isinstance(raised, Exception) or raised is error:
        return
    behind: BaseException | None = raised
    while behind is not None:
        if isinstance(behind, ControlSignal):  # The engine stopped the workflow first.
            return
        behind = behind.__context__
    error.__cause__ = error.__cause__ or raised


def _cancelled(signal: ControlSignal | None, raised: BaseException | None) -> Cancelled:
    """The end of a run whose cancellation has struck: it is cancelled, even if the cleanup failed."""
    match signal:
        case RunStopped(error=error):
            raised = error
        case RunCancelled():
            raised = CleanupCut(str(signal))
        case _:
            pass
    if raised is None or isinstance(raised, RunCancelled | asyncio.CancelledError):
        return Cancelled()
    return Cancelled(Failed.of(raised))
