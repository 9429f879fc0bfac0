"""Runs one Workflow from its current state to its end: observe, decide, execute, as the operator does.

The store and this process take the place of the API server: the run's row has the limits, which the newest command has
written; each command makes the status again, since the store has everything that it depends on. This process, and all
that it started, may be killed at any time.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from perdure.attempt_ends import AttemptEnd
from perdure.errors import RunNotFound, StoreUnavailable
from perdure.local.display import Display
from perdure.local.interactive import ASK, LOOK, PATIENCE, Interrupted, wait
from perdure.local.recorded_steps import RecordedSteps
from perdure.local.store_target import StoreTarget
from perdure.pod.environment import lease_seconds
from perdure.process.attempt_process import StopRequests
from perdure.store.runs.manifests import ManifestRunStore
from perdure.store.runs.model import MANIFEST_OWNER, RunDetail

from ..api.names import pod_name
from ..api.status_document import canonical
from ..decide import decide
from ..decide.actions import Action, DeletePod, DeleteWorkflow, NoteImage, PostEvent, RequeueAfter, WriteStatus
from ..decide.observed import Observed, Pod, Run, Status, Workflow
from ..store.store import OperatorStore
from .executor import LocalExecutor
from .other_process import OtherProcess
from .processes import LocalPods

__all__ = ["Code", "LocalWorkflow"]

T = TypeVar("T")

_LOOK_WORKING: Final = 5.0
"""Seconds between observations while our process runs, whose end is noticed at once."""

_ROUNDS: Final = 20
"""Most rounds without a pause."""

_OF_OTHERS: Final = frozenset({"Started", "Resumed", "Succeeded", "Failed", "Cancelled", "Crashed", "Disrupted"})
"""Events that the display shows in another way."""


@dataclass(frozen=True, slots=True)
class Code:
    """The source files of a run, or why they cannot be read."""

    files: Mapping[str, str] | None = None
    problem: str | None = None


class LocalWorkflow:
    """Works on one Workflow.

    Args:
        workflow: with the UID of its run, and without a time to live.
        code: its source.
        variables: for its processes.
        grace: seconds that a process has from SIGTERM to SIGKILL.
        place: the store.
        display: for messages and progress.
        stops: requests to stop this command.
    """

    def __init__(
        self,
        workflow: Workflow,
        code: Code,
        variables: Mapping[str, str],
        grace: int,
        place: StoreTarget,
        display: Display,
        stops: StopRequests,
    ) -> None:
        self.workflow = workflow
        self._code = code
        self._place = place
        self._display = display
        self._stops = stops
        lease = lease_seconds(os.environ)
        self._store = OperatorStore(place.url, MANIFEST_OWNER, lease=lease, connections=1, limit=ASK)
        self._runs = ManifestRunStore(place.url, patience=ASK)
        self._loop = asyncio.Runner()
        self._pods = LocalPods(display, stops, grace, _now)
        self._elsewhere = OtherProcess(lease, _now)
        self._applier = LocalExecutor(
            store=self._store,
            runs=self._runs,
            ask=self._ask,
            pods=self._pods,
            variables={
                **variables,
                "PERDURE_DATABASE_URL": place.url,
                "PERDURE_GRACE_SECONDS": str(grace),
                "PERDURE_PATIENCE_SECONDS": str(PATIENCE),
            },
            display=display,
            stops=stops,
        )
        self._steps = RecordedSteps(lambda after: self._runs.recorded_steps(self.workflow.uid, after), display)
        self._look = LOOK
        self._applied = False
        self._greeted = False

    def settle(self) -> RunDetail | None:
        """Bring the Workflow to its end, or until it waits for a person. Returns its run, if it has one.

        `workflow.status` then has its situation.

        Raises:
            Interrupted: a request to stop this command has come; its process has released the run.
            AnotherRun: a run of this name with another UID exists.
            RunNotFound: the run was deleted.
            StoreError: the store cannot be used, or was away for too long.
        """
        try:
            away_since: float | None = None
            rounds = 0
            while True:
                try:
                    again, settled = self._round()
                    away_since = None
                    if settled:
                        self._display.waiting("", None)
                        return self._runs.outcome(self.workflow.uid)
                except StoreUnavailable as error:
                    away_since = away_since or time.monotonic()
                    again = False
                    self._endure(error, away_since)
                rounds = rounds + 1 if again else 0
                if rounds % _ROUNDS == 0:
                    self._wait()
        finally:
            self._close()

    def _round(self) -> tuple[bool, bool]:
        """Observe, decide, execute. Returns whether to do so again at once, and whether the command is done."""
        observed = self._observe()
        actions = decide(observed)
        if self._stops.count and not self._pods.alive and not _ended(observed):
            raise Interrupted
        again = self._apply(observed, actions)
        self._applied = self._applied or observed.run is not None
        status = self.workflow.status
        return again, not again and bool(status.conditions) and not status.says("Reconciling")

    def _endure(self, error: StoreUnavailable, since: float) -> None:
        """Wait while the store does not respond; earlier observations of other processes do not count any more."""
        self._elsewhere.failed()
        if self._stops.count and not self._pods.alive:
            raise Interrupted from error
        if time.monotonic() - since > PATIENCE:
            raise error
        self._display.waiting(f"the store does not answer, trying again ({error})", None)
        self._look = LOOK
        self._place.ensure()

    # Observing.

    def _observe(self) -> Observed:
        uid = self.workflow.uid
        pods = self._pods.pods()
        seen = self._ask(self._store.observe(uid))
        run = seen.run
        if run is None and self.workflow.status.store_id == seen.store_id:
            raise RunNotFound("the run is gone: it was deleted meanwhile")
        if run is not None:
            self._greet(run)
            if self._applied:
                self._follow(run)
            run, pods = self._with_pod_elsewhere(run, pods)
            if not self._applier.started and run.last is not None and run.last.ending == AttemptEnd.RELEASED:
                # A person stopped the attempt, and a person starts the run now: no backoff is needed.
                run = replace(run, due_in=0.0)
        return Observed(
            workflow=self.workflow,
            run=run,
            pods=pods,
            store_id=seen.store_id,
            now=_now(),
            source=self._code.files if run is None else None,
            source_problem=self._code.problem,
        )

    def _greet(self, run: Run) -> None:
        """Show once the finished steps of a run that an earlier command has inserted."""
        if self._greeted or self._applier.inserted:
            return
        self._greeted = True
        if run.state.ended:
            self._display.note(f"it has ended already, {run.state}; this is its outcome")
        else:
            self._steps.show()

    def _follow(self, run: Run) -> None:
        """Take the limits from the run's row, if a newer command with a newer spec has written them."""
        assert self.workflow.spec is not None
        limits = run.limits
        deadline = None if limits.deadline_seconds is None else int(limits.deadline_seconds)
        spec = replace(
            self.workflow.spec,
            backoff_limit=limits.backoff_limit,
            active_deadline_seconds=deadline,
            suspend=limits.suspend,
        )
        self.workflow = replace(self.workflow, spec=spec)

    def _with_pod_elsewhere(self, run: Run, pods: list[Pod]) -> tuple[Run, list[Pod]]:
        claim = run.claim
        ours = claim == self._applier.claimed or any(pod.claim == claim for pod in pods)
        if claim is None or run.state.ended or ours:
            return run, pods
        uid = self.workflow.uid
        run, pod = self._elsewhere.look(
            run, claim, pod_name(self.workflow.key.name, uid, run.attempt), lambda: self._runs.standing(uid)
        )
        if pod is not None and (process := self._elsewhere.process) is not None and run.silent is None:
            if (standing := self._elsewhere.standing) is not None:
                self._steps.follow(standing)
            where = f"in another process (pid {process.pid})"
            self._display.waiting(f"attempt {run.attempt} runs {where}; following it", None)
        return run, [*pods, *([pod] if pod is not None else [])]

    # Applying.

    def _apply(self, observed: Observed, actions: Sequence[Action]) -> bool:
        """Execute actions. Returns whether to observe again at once."""
        self._look = _LOOK_WORKING if self._pods.alive else LOOK
        again = False
        for action in actions:
            match action:
                case WriteStatus(status):
                    self._write(status)
                case PostEvent(reason, message):
                    if reason not in _OF_OTHERS:
                        self._display.note(f"{reason}: {message}")
                case RequeueAfter(after):
                    self._look = min(self._look, after)
                case DeletePod(pod):
                    if not self._pods.delete(pod.uid):
                        self._elsewhere.stop()
                case DeleteWorkflow() | NoteImage():
                    pass  # a file is not ours to delete, and a process has no image
                case _:
                    if not self._applier.change(observed, action):
                        return False
                    again = True
        return again

    def _write(self, status: Status) -> None:
        self.workflow = replace(self.workflow, status=canonical(status))
        finished = status.conditions["Finished"]
        if finished.status != "True" and finished.reason not in ("Running", "Starting"):
            self._display.waiting(finished.message, None)

    # Waiting, and calls of the store.

    def _wait(self) -> None:
        """Wait until the next observation, or until a process changes."""
        if self._pods.alive:
            self._pods.work(self._look)
        else:
            wait(self._stops, self._display, time.monotonic() + self._look)

    def _ask(self, question: Coroutine[Any, Any, T]) -> T:
        return self._loop.run(question)

    def _close(self) -> None:
        self._pods.close()
        self._ask(self._store.close())
        self._loop.close()
        self._runs.close()


def _now() -> datetime:
    return datetime.now(UTC)


def _ended(observed: Observed) -> bool:
    return observed.run is not None and observed.run.state.ended
