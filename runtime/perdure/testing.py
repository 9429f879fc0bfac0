"""For authors of workflows: run one in a test, kill it where you like, go on or replay it, and see what ran.

    run = DurableRun(transfer, "alice", "bob", 100)
    run.attempt(kill_after=1)            # dies once one checkpoint is stored
    assert run.attempt().executed == ["deposit"]
    assert run.result() == "receipt"

The engine is the real one. Checkpoints live in memory instead of Postgres, and a kill ends an attempt as losing the
process would: nothing that it does afterwards is stored. Only threads cannot be killed: a step's body that runs in one
at that moment goes on to its end, and its outcome is dropped. Database steps need a real store.

A kill takes no time of the run's clock: the next attempt begins where the last checkpoint was stored. `pass_time` says
how long nobody ran, which counts for sleeps and timeouts of workflow code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, assert_never
from uuid import uuid4

from . import errors, log_fields
from .attempt_results import (
    AttemptResult,
    Cancelled,
    Failed,
    Interrupted,
    Released,
    RunEnd,
    Succeeded,
    Superseded,
    columns,
)
from .claimed_attempt import ClaimedAttempt
from .definitions import WorkflowDefinition, definition_of
from .engine.branches.attempt import Attempt
from .engine.branches.ctrl_c import noted
from .engine.ends.cancellation import allow_cleanup
from .engine.order.journal import Recorded
from .engine.tasks.loop import RunLoop
from .engine.workflow_call import execute, execute_async
from .errors import RunWasCancelled, UsageError
from .names import RunId, Token
from .serialization.failures.failure import Failure
from .store.attempts.checkpoint import Answer, Checkpoint, Settled

__all__ = ["AttemptReport", "DurableRun", "kills"]


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """What one attempt did.

    Attributes:
        number: which attempt of the run it was, from 1.
        executed: keys of the steps whose bodies it ran, in the order in which they began.
        replayed: keys of the steps that it took from their checkpoints, in order.
        stored: keys of the checkpoints that it stored, in order.
        killed: whether it was killed.
        state: the run's final state, if this attempt reached it: succeeded, failed or cancelled.
    """

    number: int
    executed: list[str] = field(default_factory=list)
    replayed: list[str] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    killed: bool = False
    state: str | None = None


class _Observer:
    """Notes what an attempt does in its report."""

    def __init__(self, report: AttemptReport) -> None:
        self._report = report

    def started(self, key: str) -> None:
        self._report.executed.append(key)

    def tried(self, key: str, tries: int, error: BaseException, pause: float) -> None: ...

    def finished(self, key: str, outcome: str, tries: int, seconds: float, error: BaseException | None) -> None: ...

    def replayed(self, key: str, outcome: str, attempt: int) -> None:  # noqa: ARG002
        self._report.replayed.append(key)

    def waits(self, where: str) -> None: ...


class _Memory:
    """Checkpoints in memory, and the point at which the attempt that writes them dies."""

    def __init__(
        self,
        stored: dict[str, Recorded],
        report: AttemptReport,
        kill_after: int | None,
        kill_in: str | None,
        began: int,
    ) -> None:
        self._stored = stored
        self._began = began
        self._report = report
        self._kill_after = kill_after
        self._kill_in = kill_in
        self._lock = threading.Lock()
        self.dead = False
        self.die: Callable[[], object] = lambda: None
        self.call: Callable[[Callable[[Settled], None], Settled], object] = lambda callback, settled: callback(settled)

    def commit(self, checkpoint: Checkpoint, given_up: Callable[[], bool] | None = None) -> Settled:  # noqa: ARG002
        """Store a checkpoint for a thread."""
        with self._lock:
            settled = self._write(checkpoint)
        if self.dead:
            self.die()
        return settled

    def submit(self, checkpoint: Checkpoint, callback: Callable[[Settled], None]) -> None:
        """Store a checkpoint for a task."""
        settled = self.commit(checkpoint)
        if not self.dead:
            self.call(callback, settled)

    def _write(self, checkpoint: Checkpoint) -> Settled:
        self.dead = self.dead or checkpoint.key == self._kill_in
        if self.dead:
            return Answer.SUPERSEDED
        if checkpoint.key in self._stored:
            return Answer.KEY_TAKEN
        self._stored[checkpoint.key] = Recorded(
            checkpoint.key,
            checkpoint.ordinal,
            self._report.number,
            checkpoint.tries,
            checkpoint.clock,
            checkpoint.result,
            checkpoint.error,
            fingerprint=checkpoint.fingerprint,
            kind=checkpoint.kind,
            began=self._began,
        )
        self._report.stored.append(checkpoint.key)
        self.dead = len(self._report.stored) == self._kill_after
        return Answer.DONE


class DurableRun:
    """A run of a workflow in a test. Async workflows, too, are run from sync tests: each attempt has a loop of its own.

    Args:
        workflow: a function marked `@workflow`; it may be local to the test.
        args, kwargs: its input, which goes through JSON as in a real run.

    Raises:
        UsageError: it is not a workflow.
        InputError: the input does not fit its signature.
    """

    def __init__(self, workflow: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        log_fields.install()
        self._definition = _definition(workflow)
        self._input = self._definition.signature.encode(args, kwargs)
        self.run_id = RunId(uuid4())
        self._seed = uuid4()
        self._stored: dict[str, Recorded] = {}
        self._end: RunEnd | None = None
        self._cancelled = False
        self._clock = 0
        self._started = datetime.now(UTC)
        self._live: Attempt | None = None
        self.attempts: list[AttemptReport] = []

    @property
    def checkpoints(self) -> list[str]:
        """The keys of the stored steps, in the order in which their outcomes were accepted."""
        return [one.key for one in sorted(self._stored.values(), key=lambda one: one.ordinal)]

    @property
    def ended(self) -> bool:
        """Whether the run has reached its end."""
        return self._end is not None

    def cancel(self) -> None:
        """Cancel the run, as `Client.cancel` does: from within a step of it, or between two attempts.

        A run whose workflow declares no cleanup, or which has had no attempt yet, ends without another step. The
        seconds that it declares are not counted here.
        """
        self._cancelled = True
        live = self._live
        if live is not None:
            live.cancel("the test asked for the run to be cancelled")
        elif self._end is None and (not self.attempts or self._definition.cleanup is None):
            self._end = Cancelled()

    def pass_time(self, seconds: float) -> None:
        """Let time pass on the run's clock in which nobody runs, before the next attempt.

        Before the first attempt a run has no clock yet, and this does nothing.

        Raises:
            ValueError: `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError("time only passes: seconds is 0 or more")
        if self.attempts:
            self._clock = self._reading() + round(seconds * 1e6)

    def _reading(self) -> int:
        """The run's clock at the next begin, in microseconds."""
        return max([self._clock, *(one.clock for one in self._stored.values())])

    def attempt(self, *, kill_after: int | None = None, kill_in: str | None = None) -> AttemptReport:
        """Run one attempt, to the run's end or to its death.

        Args:
            kill_after: die once this attempt has stored this many checkpoints.
            kill_in: die in the step with this key: its body has run, its checkpoint is not stored.

        Raises:
            UsageError: the run has ended already, or it ended now before it came to the place where it was to die.
        """
        report = self._attempt(kill_after, kill_in)
        if not report.killed and (kill_after, kill_in) != (None, None):
            where = f"in step {kill_in!r}" if kill_in is not None else f"after {kill_after} checkpoints"
            raise UsageError(f"the attempt was to die {where}, and ended before; it stored {report.stored}")
        return report

    def replay(self, workflow: Callable[..., Any] | None = None) -> AttemptReport:
        """Run an attempt over a copy of the stored steps, and leave the run as it is.

        Args:
            workflow: a changed version of the workflow, to see whether it can go on with runs of the old one.

        Raises:
            NondeterminismError: it does not repeat the recorded calls.
            Exception: any other error of the workflow.
        """
        definition = self._definition if workflow is None else _definition(workflow)
        report, end = self._execute(definition, dict(self._stored), None, None)
        if end is not None and not isinstance(end, Cancelled):
            _value(definition, end)
        return report

    def result(self) -> Any:
        """Run to the end, in one more attempt if need be; the workflow's result, or its error is raised."""
        while self._end is None:
            self._attempt(None, None)
        return _value(self._definition, self._end)

    def _note_live(self, attempt: Attempt) -> None:
        self._live = attempt

    def _attempt(self, kill_after: int | None, kill_in: str | None) -> AttemptReport:
        if self._end is not None:
            raise UsageError("this run has ended; make another DurableRun, or replay() it")
        report, end = self._execute(self._definition, self._stored, kill_after, kill_in)
        if end is not None:
            self._end = end
        elif self._cancelled and self._definition.cleanup is None:
            self._end = Cancelled()
        self.attempts.append(report)
        return report

    def _execute(
        self,
        definition: WorkflowDefinition,
        stored: dict[str, Recorded],
        kill_after: int | None,
        kill_in: str | None,
    ) -> tuple[AttemptReport, RunEnd | None]:
        """Run an attempt. The end is None if it was killed."""
        report = AttemptReport(len(self.attempts) + 1)
        reading = self._reading()
        memory = _Memory(stored, report, kill_after, kill_in, reading)
        recorded = [replace(one, consumed=False) for one in stored.values()]
        claimed = ClaimedAttempt(
            run_id=self.run_id,
            id="test",
            token=Token(uuid4()),
            number=report.number,
            entrypoint=definition.entrypoint,
            input=self._input,
            seed=self._seed,
            cancelled=self._cancelled,
            cleanup=definition.cleanup,
            clock=reading,
            started=self._started,
        )
        try:
            with noted():
                result = _run(definition, claimed, recorded, memory, _Observer(report), self._note_live)
        finally:
            self._live = None
        if memory.dead:
            return replace(report, killed=True), None
        match result:
            case Succeeded() | Failed() | Cancelled():
                return replace(report, state=columns(result)[0]), result
            case Released(why):
                raise errors.Released(why)
            case Interrupted():
                raise KeyboardInterrupt
            case Superseded(why):
                raise errors.Superseded(why)
            case _:
                assert_never(result)


def kills(workflow: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Iterator[DurableRun]:
    """Runs of a workflow, one for each place where it can die: after each checkpoint, and in each step.

    Each has died once and is yet to be resumed; the test checks the rest:

        for run in kills(transfer, "alice", "bob", 100):
            assert run.result() == "receipt"

    An undisturbed run comes first, to learn the places. Where a race leads a run past its place, that one is left out.
    """
    undisturbed = DurableRun(workflow, *args, **kwargs)
    undisturbed._attempt(None, None)  # noqa: SLF001  this module's own class
    for count, key in enumerate(undisturbed.checkpoints, start=1):
        for place in ((count, None), (None, key)):
            run = DurableRun(workflow, *args, **kwargs)
            if run._attempt(*place).killed:  # noqa: SLF001
                yield run


def _definition(workflow: Callable[..., Any]) -> WorkflowDefinition:
    definition = definition_of(workflow)
    if definition is None:
        raise UsageError(f"{workflow!r} is not a workflow: mark it @workflow")
    return definition


def _run(
    definition: WorkflowDefinition,
    claimed: ClaimedAttempt,
    recorded: list[Recorded],
    memory: _Memory,
    observer: _Observer,
    note_live: Callable[[Attempt], None],
) -> AttemptResult:
    if not definition.is_async:
        attempt = Attempt(claimed, recorded, _as_committer(memory), observer=observer)
        allow_cleanup(attempt)
        note_live(attempt)
        memory.die = lambda: attempt.interrupt(errors.Released("killed by the test"))
        return execute(definition, attempt)
    loop = RunLoop()
    try:
        committer = _as_committer(memory)
        attempt = Attempt(claimed, recorded, committer, loop=loop, loop_committer=committer, observer=observer)
        allow_cleanup(attempt)
        note_live(attempt)
        memory.die = lambda: attempt.interrupt(errors.Released("killed by the test"))
        memory.call = loop.call_in_loop
        return loop.run_until_complete(execute_async(definition, attempt))
    finally:
        loop.close()


def _as_committer(memory: _Memory) -> Any:
    """The engine names the two committers by their classes; it calls no more of them than `_Memory` has."""
    return memory


def _value(definition: WorkflowDefinition, end: RunEnd) -> Any:
    match end:
        case Succeeded(result):
            return definition.result.decode(result)
        case Failed(error):
            raise Failure.from_json(error).revive()
        case Cancelled(cleanup):
            raise RunWasCancelled("the run was cancelled") from (None if cleanup is None else cleanup.raised)
        case _:
            assert_never(end)
