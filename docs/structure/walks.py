"""Five walks of data through the code, hop by hop: what docs/architecture.md tells, and `make structure` counts.

`flaws` holds them to the code: each hop's functions are there, and its module knows one of those before it, or is known
to one. The walk of a step call is held to a real one, which a test traces.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from docs.structure.tree import ROOT, Module

__all__ = ["WALKS", "Hop", "Walk", "flaws", "trace"]

_RUNTIME: Final = "runtime/"
_OPERATOR: Final = "operator/"


@dataclass(frozen=True, slots=True)
class Hop:
    """One stop of a walk.

    Attributes:
        place: a module (`perdure.engine.order.scheduler`), or a file of SQL by its path below `perdure`.
        functions: those of it that have a part in the walk, methods as `Class.method`, separated by spaces.
        what: what they do there, as a sentence.
    """

    place: str
    functions: str
    what: str

    @property
    def is_sql(self) -> bool:
        """Whether it is a file of SQL."""
        return self.place.endswith(".sql")

    @property
    def path(self) -> str:
        """Its file, from the root of the repository."""
        if self.is_sql:
            return f"runtime/perdure/{self.place}"
        below = _OPERATOR if self.place.startswith("perdure_operator") else _RUNTIME
        path = f"{below}{self.place.replace('.', '/')}"
        return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


@dataclass(frozen=True, slots=True)
class Walk:
    """What happens from an event to its effect.

    Attributes:
        name: for the table of `make structure`.
        title: for the heading in docs/architecture.md.
        begins: what sets it off, as a sentence.
        aim: modules that it should have at most; None where no aim was set.
    """

    name: str
    title: str
    begins: str
    aim: int | None
    hops: tuple[Hop, ...]

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules on the way, each once."""
        return tuple(dict.fromkeys(hop.place for hop in self.hops if not hop.is_sql))


_STEP_CALL: Final = Walk(
    name="step call",
    title="A step call",
    begins="A sync workflow calls a step for the first time.",
    aim=10,
    hops=(
        Hop("perdure.decorators", "step", "The wrapper around the step's function looks where it is called."),
        Hop("perdure.engine.branches.branch", "Branch.next_key", "The branch that calls counts the step's key up."),
        Hop(
            "perdure.engine.branches.context",
            "branch_here StepContext",
            "A context variable holds the branch, or the step.",
        ),
        Hop(
            "perdure.engine.steps.step_call",
            "call",
            "Leads through all that follows, and comes back to it after each hop.",
        ),
        Hop(
            "perdure.engine.branches.attempt",
            "Attempt.check Attempt.enter_step",
            "The attempt has not ended, nor drains.",
        ),
        Hop("perdure.serialization.fingerprint", "Fingerprint.take", "The arguments get a fingerprint."),
        Hop(
            "perdure.serialization.canonical.text", "scalar_text", "Equal arguments are one text, whatever wrote them."
        ),
        Hop("perdure.names", "step_key", "The key is the step's name and its number in the branch."),
        Hop("perdure.engine.order.place", "Place.take", "Outcomes wait in the order in which they are accepted."),
        Hop("perdure.engine.order.scheduler", "Scheduler.accept", "They get ordinals and the run's clock."),
        Hop("perdure.engine.steps.step_body", "run_body", "Runs the body: tries, pauses, timeout."),
        Hop("perdure.engine.order.outcome", "Outcome", "What came of it, as data."),
        Hop("perdure.serialization.codec", "ValueCodec.encode", "The result becomes JSON that comes back the same."),
        Hop("perdure.store.attempts.checkpoint", "Checkpoint.parameters", "The outcome becomes a row."),
        Hop("perdure.store.attempts.thread_committer", "ThreadCommitter.commit", "Commits it, with others that wait."),
        Hop("perdure.store.postgres.opener", "Opener.open", "Opens the connection, where there is none."),
        Hop("perdure.store.postgres.libpq", "Wire.scalar", "Calls the function of the schema through libpq."),
        Hop("store/schema/functions/checkpoint.sql", "", "Inserts the row, if the attempt still holds the run."),
        Hop("perdure.pod.attempt", "_Progress.started _Progress.finished", "Hears of the step's begin and end."),
        Hop("perdure.pod.channel", "ChildChannel.progress", "Shows the supervisor how far the attempt is."),
        Hop(
            "perdure.process.progress_events",
            "Events.started Events.finished",
            "Writes it for `perdure run`, if that reads.",
        ),
    ),
)

_RESUME: Final = Walk(
    name="resume",
    title="A checkpoint on resume",
    begins="A later attempt's process has begun, and the workflow calls a step whose outcome is stored.",
    aim=None,
    hops=(
        Hop("perdure.pod.attempt", "_AttemptProcess._run", "Loads what earlier attempts recorded."),
        Hop("perdure.store.attempts.attempts", "AttemptStore.load", "Reads the run's steps, in portions."),
        Hop("perdure.store.postgres.libpq", "Wire.rows", "Calls the function of the schema through libpq."),
        Hop("store/schema/functions/load.sql", "", "Gives the steps in the order of their ordinals."),
        Hop("perdure.store.attempts.checkpoint", "Recorded", "A row becomes a recorded outcome."),
        Hop("perdure.engine.branches.attempt", "Attempt", "Holds the journal and the scheduler of this attempt."),
        Hop("perdure.engine.order.journal", "Journal.take Journal.head", "Compares the call with the next record."),
        Hop("perdure.engine.steps.step_call", "call", "Waits for the record's turn instead of running the body."),
        Hop(
            "perdure.engine.order.scheduler",
            "Scheduler.wait_recorded",
            "Delivers records one by one, whenever the run rests.",
        ),
        Hop("perdure.engine.order.delivery", "Delivery", "Wakes the branch that waits."),
        Hop("perdure.serialization.codec", "ValueCodec.decode", "A result is read by the step's type hint."),
        Hop("perdure.serialization.failures.failure", "Failure.from_json Failure.revive", "Or an error is read."),
        Hop("perdure.serialization.failures.revival", "revive", "It is rebuilt without running its constructor."),
    ),
)

_EVENT: Final = Walk(
    name="event to pod",
    title="An event to a pod",
    begins="The API server announces a new Workflow. Three rounds follow, so that a crash between any two heals: insert"
    " the run, claim it, create the pod.",
    aim=20,
    hops=(
        Hop("perdure_operator.sources.kopf_watch", "EventSource Watched", "kopf's thread reads the object."),
        Hop("perdure_operator.controller.controller", "Controller", "Connects the source with cache and work queue."),
        Hop("perdure_operator.controller.cache", "Cache.read Cache.saw_workflow", "The informer cache."),
        Hop("perdure_operator.api.parse", "parse_workflow", "Makes a Workflow of the object, or says what is wrong."),
        Hop("perdure_operator.api.models", "WorkflowSpec", "The spec's schema."),
        Hop("perdure_operator.api.untyped", "mapping", "Reads what the schema does not vouch for."),
        Hop("perdure_operator.api.validation", "refusals", "What a podTemplate may not say."),
        Hop("perdure_operator.api.status_document", "read_status", "The status that was written before."),
        Hop(
            "perdure_operator.decide.observed",
            "Workflow Run Observed",
            "What is known: decide's input.",
        ),
        Hop(
            "perdure_operator.controller.workqueue",
            "WorkQueue.add",
            "Each key is worked on once at a time.",
        ),
        Hop("perdure_operator.controller.schedule", "Schedule.add Schedule.take", "The work queue's rules, pure."),
        Hop(
            "perdure_operator.controller.reconciler",
            "Reconciler.reconcile",
            "Observes, decides and applies.",
        ),
        Hop("perdure_operator.store.store", "OperatorStore.observe", "Asks for the run."),
        Hop("perdure_operator.store.batching", "BatchLoader.load", "Lookups of one moment become one query."),
        Hop("perdure_operator.store.calls", "StoreCalls", "Each call has a time limit and may be repeated."),
        Hop("perdure_operator.store.pool", "ConnectionPool.rows", "A few connections to the store."),
        Hop("perdure_operator.store.rows", "new_run run_of_row", "A run as a row, and a row as a run."),
        Hop(
            "perdure_operator.store.clock",
            "EventAges.of",
            "How long ago, by our own clock.",
        ),
        Hop("perdure_operator.sources.liveness", "Liveness.judged", "Says whether the run's process is silent."),
        Hop("perdure_operator.telemetry.run_metrics", "RunMetrics.saw", "Counts attempts and runs for the metrics."),
        Hop("perdure_operator.decide.decision", "decide", "What to do now, as a pure function of what was observed."),
        Hop("perdure_operator.decide.store_check", "doubt", "Whether the store is the one that the status rests on."),
        Hop("perdure_operator.decide.limits", "wanted_limits overdue", "What a person or a limit asks of the run."),
        Hop("perdure_operator.decide.attempt", "attempt_plan", "What an attempt needs: its pod."),
        Hop("perdure_operator.decide.plan", "Plan", "The plan: something to do, or a situation to tell."),
        Hop("perdure_operator.decide.images", "images_to_note", "Which image ran."),
        Hop("perdure_operator.decide.pods", "pods_to_delete", "Which pods go."),
        Hop("perdure_operator.decide.telling.status", "status_of writing", "The status, and if it is written now."),
        Hop("perdure_operator.decide.telling.events", "events", "The events for `kubectl describe`."),
        Hop("perdure_operator.decide.actions", "InsertRun ClaimRun CreatePod", "What is to be done, as data."),
        Hop("perdure_operator.controller.executor", "Executor.apply", "Does it, until the first action that fails."),
        Hop("perdure_operator.controller.capacity", "Capacity.take", "Gives a place among the active runs, or none."),
        Hop("perdure_operator.controller.status_budget", "StatusBudget.wait", "How often a status may be written."),
        Hop("perdure_operator.controller.event_recorder", "EventRecorder.post", "Posts events."),
        Hop("perdure_operator.api.pod", "build_pod", "Makes the pod of the attempt."),
        Hop("perdure_operator.api.pod_template", "lay_over", "Lays the podTemplate over it."),
        Hop("perdure_operator.api.database_tls", "DatabaseTls", "How the pod reaches the store."),
        Hop("perdure_operator.kube.client", "Kube.create Kube.apply_status", "Writes to the API server."),
    ),
)

_DEATH: Final = Walk(
    name="death to next attempt",
    title="A death to the next attempt",
    begins="The workflow's process dies under a supervisor that lives.",
    aim=12,
    hops=(
        Hop("perdure.process.tree", "reap kill_descendants", "The supervisor learns of it, and ends what is left."),
        Hop("perdure.pod.supervisor", "supervise", "Judges why the process ended."),
        Hop("perdure.pod.reporting", "Death ReportingThread.submit", "Reports it from a thread of its own."),
        Hop("perdure.pod.reporter", "StoreReporter.report_death", "Says to the store that the attempt crashed."),
        Hop(
            "perdure.store.attempts.attempts",
            "AttemptStore.release_run",
            "Ends the attempt and leaves the run to another.",
        ),
        Hop("perdure.store.postgres.libpq", "Wire.rows", "Calls the function of the schema through libpq."),
        Hop("store/schema/functions/release_run.sql", "", "Compares the token, and passes on the claim."),
        Hop(
            "store/schema/functions/end_attempt.sql",
            "",
            "Records the end, sets the time of the next attempt, notifies.",
        ),
        Hop("store/schema/functions/backoff_seconds.sql", "", "How long the run waits after so many crashes."),
        Hop("perdure_operator.sources.notifications", "NotificationListener", "The operator is notified."),
        Hop("perdure_operator.controller.controller", "Controller", "Finds the run's Workflow and enqueues it."),
        Hop("perdure_operator.controller.cache", "Cache.key_of", "Whose run it is."),
        Hop(
            "perdure_operator.controller.workqueue",
            "WorkQueue.add WorkQueue.add_after",
            "At once, and after the backoff.",
        ),
        Hop("perdure_operator.controller.schedule", "Schedule.add_at", "When it is due."),
        Hop("perdure_operator.controller.reconciler", "Reconciler.reconcile", "Observes, decides and applies."),
        Hop("perdure_operator.store.store", "OperatorStore.observe OperatorStore.claim", "Reads and claims the run."),
        Hop("perdure_operator.store.batching", "BatchLoader.load", "Lookups of one moment become one query."),
        Hop("perdure_operator.store.calls", "StoreCalls", "Each call has a time limit and may be repeated."),
        Hop("perdure_operator.store.pool", "ConnectionPool.rows", "A few connections to the store."),
        Hop("perdure_operator.store.rows", "run_of_row", "The row as a run."),
        Hop("perdure_operator.store.clock", "EventAges.of", "How long ago by our own clock."),
        Hop("perdure_operator.decide.decision", "decide", "Claims it, or looks again once the backoff is over."),
        Hop("perdure_operator.decide.store_check", "doubt", "Whether the store is the one that the status rests on."),
        Hop("perdure_operator.decide.limits", "given_up not_before", "Whether crashes are over the limit; when next."),
        Hop("perdure_operator.decide.attempt", "attempt_plan", "The new attempt needs its pod."),
        Hop("perdure_operator.decide.telling.status", "status_of", "The status tells of the backoff."),
        Hop("perdure_operator.decide.actions", "RequeueAfter ClaimRun CreatePod", "What is to be done, as data."),
        Hop("perdure_operator.controller.executor", "Executor.apply", "Does it."),
        Hop("perdure_operator.controller.capacity", "Capacity.take", "Gives a place among the active runs, or none."),
        Hop("perdure_operator.api.pod", "build_pod", "Makes the pod of the attempt."),
        Hop("perdure_operator.kube.client", "Kube.create", "Writes to the API server."),
    ),
)

_INPUT: Final = Walk(
    name="input",
    title="An input",
    begins="A manifest's `spec.input` becomes the arguments of the workflow's function.",
    aim=None,
    hops=(
        Hop("perdure_operator.api.models", "WorkflowSpec", "Any JSON object."),
        Hop("perdure_operator.api.parse", "parse_workflow", "It becomes JSON text."),
        Hop("perdure_operator.decide.observed", "Spec", "`Spec.input` carries it to the action InsertRun."),
        Hop("perdure_operator.controller.executor", "Executor.apply", "InsertRun is done."),
        Hop("perdure_operator.store.store", "OperatorStore.insert", "Inserts the run."),
        Hop("perdure_operator.store.rows", "new_run", "Makes the run's row of the Workflow."),
        Hop("perdure.store.runs.runs", "NewRun.parameters", "The row's columns."),
        Hop("store/schema/functions/begin.sql", "", "The attempt's process asks for it as it begins."),
        Hop("perdure.store.attempts.attempts", "AttemptStore.begin Begun", "The answer carries it into the process."),
        Hop(
            "perdure.claimed_attempt",
            "ClaimedAttempt",
            "`ClaimedAttempt.input` is a part of that answer.",
        ),
        Hop("perdure.pod.attempt", "_AttemptProcess._run", "Makes the engine's attempt of it."),
        Hop("perdure.engine.branches.attempt", "Attempt", "Holds it until the function is called."),
        Hop("perdure.engine.workflow_call", "execute", "Calls the function with it."),
        Hop("perdure.serialization.arguments", "Signature.decode", "By parameter name, checked against the hints."),
        Hop("perdure.serialization.codec", "ValueCodec.read", "Each value by its hint."),
        Hop("perdure.serialization.adapters", "Arguments", "pydantic validates them."),
    ),
)

WALKS: Final = (_STEP_CALL, _RESUME, _EVENT, _DEATH, _INPUT)


def flaws(walk: Walk, known: Mapping[str, Module], imports: Mapping[str, set[str]], root: Path = ROOT) -> Iterator[str]:
    """Where a walk is not in the code: a missing file or function, or a module that none before it has to do with."""
    before: list[str] = []
    for hop in walk.hops:
        if hop.is_sql:
            if not (root / hop.path).is_file():
                yield f"{walk.name}: there is no {hop.path}"
            continue
        if (module := known.get(hop.place)) is None:
            yield f"{walk.name}: there is no module {hop.place}"
            continue
        for function in hop.functions.split():
            if function not in module.definitions:
                yield f"{walk.name}: {hop.place} has no {function}"
        met = any(_knows(one, hop.place, imports) or _knows(hop.place, one, imports) for one in before)
        sql_before = bool(walk.hops.index(hop)) and walk.hops[walk.hops.index(hop) - 1].is_sql
        if before and not met and not sql_before:
            yield f"{walk.name}: {hop.place} imports none of the modules before it, nor do they import it"
        before.append(hop.place)


def _knows(one: str, other: str, imports: Mapping[str, set[str]]) -> bool:
    """Whether a module imports another, itself or through one between, such as a package's `__init__.py`."""
    return other in imports[one] or any(other in imports[between] for between in imports[one])


def trace(call: Callable[[], object], packages: tuple[str, ...] = ("perdure",)) -> set[str]:
    """The modules whose functions run while something is called, in this thread."""
    met: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:  # noqa: ARG001  the interpreter's signature
        name = frame.f_globals.get("__name__") or ""
        if event == "call" and name.split(".")[0] in packages:
            met.add(name)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return met
