"""For authors of workflows: run one in a test, kill it where you like, resume it, and see what ran.

    run = DurableRun(transfer, "alice", "bob", 100)
    run.attempt(kill_after=1)            # dies once one checkpoint is stored
    assert run.attempt().executed == ["deposit"]
    assert run.result() == ...

The engine is the real one; checkpoints live in memory instead of Postgres, and a kill ends an attempt as losing the process
would: nothing that it does afterwards is stored. Steps that are under way in threads do end, as threads cannot be killed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from .definitions import definition_of
from .engine.attempt import Attempt, Facts
from .engine.execute import Ending, execute, execute_async
from .engine.journal import Recorded
from .engine.loop import RunLoop
from .errors import HandedBack, UsageError
from .failures import Failure
from .names import Claim, RunId
from .store.checkpoints import Answer, Checkpoint, Settled

__all__ = ["AttemptReport", "DurableRun", "kills"]


@dataclass(frozen=True, slots=True)
class AttemptReport:
    """What one attempt did: keys of the steps whose bodies ran to an outcome, and of those taken from the record, in order."""

    number: int
    executed: list[str]
    replayed: list[str]
    killed: bool
    state: str | None


@dataclass(slots=True)
class _Observed:
    executed: list[str] = field(default_factory=list)
    replayed_keys: list[str] = field(default_factory=list)

    def started(self, key: str) -> None: ...

    def tried(self, key: str, tries: int, error: BaseException, pause: float) -> None: ...

    def finished(self, key: str, outcome: str, tries: int, seconds: float, error: BaseException | None) -> None:
        self.executed.append(key)

    def replayed(self, key: str, outcome: str, attempt: int) -> None:
        self.replayed_keys.append(key)


class _Memory:
    """Checkpoints in memory, and the point at which the attempt that writes them dies."""

    def __init__(self, stored: dict[str, Recorded], attempt: int, kill_after: int | None, kill_in: str | None) -> None:
        self._stored = stored
        self._attempt = attempt
        self._kill_after = kill_after
        self._kill_in = kill_in
        self._lock = threading.Lock()
        self.written = 0
        self.dead = False
        self.die: Callable[[], None] = lambda: None

    def commit(self, checkpoint: Checkpoint, given_up: Callable[[], bool] = lambda: False) -> Settled:
        with self._lock:
            settled = self._write(checkpoint)
        if self.dead:
            self.die()
        return settled

    def submit(self, checkpoint: Checkpoint, callback: Callable[[Settled], None]) -> None:
        settled = self.commit(checkpoint)
        if not self.dead:
            self.later(callback, settled)

    later: Callable[..., None] = staticmethod(lambda callback, settled: callback(settled))

    def _write(self, checkpoint: Checkpoint) -> Settled:
        if self.dead:
            return Answer.SUPERSEDED
        if self._kill_in == checkpoint.key:
            self.dead = True
            return Answer.SUPERSEDED
        if checkpoint.key in self._stored:
            return Answer.KEY_TAKEN
        self._stored[checkpoint.key] = Recorded(
            checkpoint.key, checkpoint.ordinal, self._attempt, checkpoint.tries, checkpoint.clock, checkpoint.result, checkpoint.error
        )
        self.written += 1
        self.dead = self.written == self._kill_after
        return Answer.DONE


class DurableRun:
    """A run of a workflow in a test.

    Args:
        workflow: a function marked `@workflow`; it may be local to the test.
        args, kwargs: its input.

    Raises:
        UsageError: it is no workflow.
        InputError: the input does not fit its signature.
    """

    def __init__(self, workflow: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        definition = definition_of(workflow)
        if definition is None:
            raise UsageError(f"{workflow!r} is no workflow: mark it @workflow")
        self._definition = definition
        self._input = definition.signature.encode(args, kwargs)
        self._run_id = RunId(uuid4())
        self._stored: dict[str, Recorded] = {}
        self._ending: Ending | None = None
        self.attempts: list[AttemptReport] = []

    @property
    def checkpoints(self) -> list[str]:
        """The keys of the stored steps, in the order in which their outcomes were accepted."""
        return [one.key for one in sorted(self._stored.values(), key=lambda one: one.ordinal)]

    @property
    def ended(self) -> bool:
        """Whether the run has reached its end."""
        return self._ending is not None

    def attempt(self, *, kill_after: int | None = None, kill_in: str | None = None) -> AttemptReport:
        """Run one attempt, to the run's end or to its death.

        Args:
            kill_after: die once this many checkpoints have been stored by this attempt.
            kill_in: die after the body of the step with this key has run, before its checkpoint is stored.

        Raises:
            UsageError: the run has ended.
        """
        if self._ending is not None:
            raise UsageError("this run has ended; make another DurableRun")
        number = len(self.attempts) + 1
        observed = _Observed()
        memory = _Memory(self._stored, number, kill_after, kill_in)
        facts = Facts(self._run_id, Claim(uuid4()), number, "test", self._definition.entrypoint, self._input)
        recorded = [Recorded(r.key, r.ordinal, r.attempt, r.tries, r.clock, r.result, r.error) for r in self._stored.values()]
        ending = self._run(facts, recorded, memory, observed)
        if ending.state is not None and not memory.dead:
            self._ending = ending
        report = AttemptReport(number, observed.executed, observed.replayed_keys, memory.dead, self._ending and self._ending.state)
        self.attempts.append(report)
        return report

    def _run(self, facts: Facts, recorded: list[Recorded], memory: _Memory, observed: _Observed) -> Ending:
        committer: Any = memory
        if not self._definition.is_async:
            attempt = Attempt(facts, recorded, committer, observer=observed)
            memory.die = lambda: _die(attempt)
            return execute(self._definition, attempt)
        loop = RunLoop()
        try:
            attempt = Attempt(facts, recorded, committer, loop=loop, loop_committer=committer, observer=observed)
            memory.die = lambda: _die(attempt)
            memory.later = lambda callback, settled: loop.call_in_loop(callback, settled)
            return loop.run_until_complete(execute_async(self._definition, attempt))
        finally:
            loop.close()

    def result(self) -> Any:
        """Run to the end, in a further attempt if need be, and give the workflow's result or raise its error."""
        if self._ending is None:
            self.attempt()
        assert self._ending is not None
        if self._ending.error is not None:
            raise Failure.from_json(self._ending.error).revive()
        return self._definition.result.decode(self._ending.result or "null")


def _die(attempt: Attempt) -> None:
    attempt.interrupt(HandedBack("killed by the test"))


def kills(workflow: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Iterator[DurableRun]:
    """Runs of a workflow, one for each place where it can die: after each checkpoint, and in each step.

    Each has died once and is yet to be resumed; what must hold then is for the test to say:

        for run in kills(transfer, "alice", "bob", 100):
            assert run.result() == "receipt"
    """
    undisturbed = DurableRun(workflow, *args, **kwargs)
    undisturbed.attempt()
    for count, key in enumerate(undisturbed.checkpoints, start=1):
        after = DurableRun(workflow, *args, **kwargs)
        after.attempt(kill_after=count)
        yield after
        within = DurableRun(workflow, *args, **kwargs)
        within.attempt(kill_in=key)
        if not within.ended:
            yield within
