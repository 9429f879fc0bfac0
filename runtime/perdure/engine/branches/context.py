"""Where the calling code is: outside of any run, in a branch of a run, or in a step.

One context variable holds the branch or the step. Tasks and copied contexts inherit it, and each step call reads it
first.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from ...errors import StepCallError, UsageError

if TYPE_CHECKING:
    from .branch import Branch
    from .unchanged import ArgumentGuard

__all__ = ["CURRENT", "StepContext", "branch_here", "step_context"]


class StepContext:
    """A running step: its run, its key and its try.

    Attributes:
        run_id: the run's UUID.
        id: the id that the run's user gave it, or the Workflow's name.
        attempt: which attempt of the run this is, from 1.
        step_key: the step's key, unique in its run.
        tries: which try of the step this is, from 1, within the attempt.
    """

    __slots__ = ("_connection", "active", "branch", "guard", "step_key", "tries")

    def __init__(self, branch: Branch, step_key: str, guard: ArgumentGuard | None = None) -> None:
        self.branch = branch
        self.guard = guard
        self.step_key = step_key
        self.tries = 0
        self.active = True
        self._connection: Any = None

    def lent(self, connection: Any) -> StepContext:
        """A copy of this context for one try of a database step.

        A task or thread that an earlier try left behind has the copy of that try, without this connection.
        """
        context = StepContext(self.branch, self.step_key)
        context.tries = self.tries
        context._connection = connection
        return context

    @property
    def run_id(self) -> UUID:
        return self.branch.attempt.run_id

    @property
    def id(self) -> str:
        return self.branch.attempt.run_name

    @property
    def attempt(self) -> int:
        return self.branch.attempt.number

    @property
    def idempotency_key(self) -> str:
        """36 characters: the same in every try and attempt of this step, different for other steps and other runs."""
        return str(uuid5(self.branch.attempt.run_id, self.step_key))

    @property
    def cancel_requested(self) -> bool:
        """Whether the attempt ends, or the run's cancellation is about to reach the workflow.

        A long sync step may check this and give up early.
        """
        return self.branch.attempt.is_to_end

    @property
    def connection(self) -> Any:
        """A database step's psycopg connection to the store's database (an `AsyncConnection` in an async step).

        Its transaction is open, and commits with the step's checkpoint when the step returns. The step must neither
        end the transaction nor execute COMMIT or ROLLBACK; `with connection.transaction():` makes a savepoint. A
        statement may take 10 minutes and wait 60 s for a lock, and the step may leave the transaction idle for 60 s at
        a time. A step's timeout replaces all three limits, and `SET LOCAL` changes the first two. Settings and objects
        that outlive a transaction (SET without LOCAL, temporary tables, session locks) may or may not be there in the
        next step.

        Raises:
            UsageError: the step is not a database step.
        """
        if self._connection is None:
            raise UsageError(f"step {self.step_key!r} has no connection: mark it @step(database=True)")
        return self._connection


CURRENT: ContextVar[Branch | StepContext | None] = ContextVar("perdure_current", default=None)


def step_context() -> StepContext:
    """The context of the step whose code calls this.

    Raises:
        UsageError: no step runs here.
    """
    current = CURRENT.get()
    if isinstance(current, StepContext) and current.active:
        return current
    raise UsageError("step_context() is for the code of a running step of a run; here none is running")


def branch_here(name: str) -> Branch | None:
    """The branch in which the step `name` is called; None outside of a run and within a step: a plain call.

    Raises:
        StepCallError: a run's code makes the call, but not in the task or thread of a branch, or after its step ended.
    """
    current = CURRENT.get()
    if current is None:
        return None
    if isinstance(current, StepContext):
        if current.active:
            return None
        raise StepCallError(
            f"step {name!r} was called by something that step {current.step_key!r} left behind (a task, a thread, a"
            " callback) after that step ended; wait for it within the step, or call the step from the workflow"
        )
    if current.attempt.forked:
        raise StepCallError(
            f"step {name!r} was called in a forked process; steps belong to the process that runs the attempt"
        )
    if not current.is_here():
        raise StepCallError(
            f"step {name!r} was called from a thread, task or event loop that Perdure did not start, so it could not be"
            " repeated in the same order. Use perdure.to_thread or perdure.ThreadPoolExecutor for threads, asyncio"
            " tasks of an async workflow for tasks, and make a workflow that awaits async steps itself async"
        )
    return current
