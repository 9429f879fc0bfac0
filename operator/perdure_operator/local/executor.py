"""Executes actions on a local run: in the store, and on this command's process for it."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from perdure.errors import StoreError
from perdure.local.display import Display
from perdure.local.interactive import Interrupted
from perdure.names import Claim
from perdure.process.attempt_process import StopRequests
from perdure.process.identity import this_process
from perdure.store.runs.manifests import ManifestRunStore
from perdure.store.runs.model import MANIFEST_OWNER

from ..api.names import pod_name
from ..decide.actions import ClaimRun, CreatePod, EndRun, InsertRun, ReleaseRun, RequestCancel, SetLimits
from ..decide.observed import Observed, Workflow
from ..store.rows import new_run
from ..store.store import OperatorStore
from .processes import LocalPods

__all__ = ["AnotherRun", "Change", "LocalExecutor"]

T = TypeVar("T")

Change = InsertRun | ClaimRun | CreatePod | ReleaseRun | SetLimits | RequestCancel | EndRun
"""An action after which everything is observed again."""


class Ask(Protocol):
    """Runs a call of the store to its end."""

    def __call__(self, question: Coroutine[Any, Any, T], /) -> T:
        """The result of the call."""


class AnotherRun(Exception):
    """Another command has started a run of this name a moment ago."""


class LocalExecutor:
    """Applies changes to one Workflow's run.

    Args:
        store: of the run.
        runs: the same store's calls for manifests without a cluster.
        ask: runs a call of `store`.
        pods: the processes of this command.
        variables: for each process, besides those that identify run and attempt.
        display: for messages and progress.
        stops: requests to stop this command; after the first, it starts nothing.

    Attributes:
        inserted: whether this command has inserted the run.
        claimed: a claim of this command for which it has not started a process.
        started: whether this command has started a process.
    """

    def __init__(
        self,
        *,
        store: OperatorStore,
        runs: ManifestRunStore,
        ask: Ask,
        pods: LocalPods,
        variables: Mapping[str, str],
        display: Display,
        stops: StopRequests,
    ) -> None:
        self._store = store
        self._runs = runs
        self._ask = ask
        self._pods = pods
        self._variables = variables
        self._display = display
        self._stops = stops
        self.inserted = False
        self.claimed: Claim | None = None
        self.started = False

    def change(self, observed: Observed, action: Change) -> bool:
        """Execute an action. Returns whether it took effect.

        Raises:
            Interrupted: a request to stop the command has come.
            AnotherRun: a run of this name with another UID exists.
            StoreError: the store cannot be used, or the process cannot be started.
        """
        workflow = observed.workflow
        uid = workflow.uid
        match action:
            case InsertRun():
                self._insert(observed)
                return True
            case ClaimRun(attempt):
                return self._claim(workflow, attempt)
            case CreatePod(attempt, claim):
                self._start(workflow, attempt, claim)
                return True
            case ReleaseRun(claim, ending, detail, code, signal):
                attempt = observed.run.attempt if observed.run is not None else 0
                self._display.note(f"attempt {attempt} ended ({ending}): {detail}")
                return self._ask(self._store.release_run(uid, claim, ending, detail=detail, code=code, signal=signal))
            case SetLimits(limits):
                self._ask(self._store.set_limits(uid, limits))
                return True
            case RequestCancel(at_once):
                self._ask(self._store.request_cancel(uid, at_once=at_once))
                return True
            case EndRun(error_type, message):
                return self._ask(self._store.end_run(uid, error_type, message))

    def _insert(self, observed: Observed) -> None:
        stored = self._runs.insert_manifest(new_run(observed.workflow, MANIFEST_OWNER, observed.source))
        if stored.run_id != observed.workflow.uid:
            raise AnotherRun
        self.inserted = True

    def _claim(self, workflow: Workflow, attempt: int) -> bool:
        if self._stops.count:
            raise Interrupted
        if self._pods.alive:
            return False  # the process of an attempt that has lost its claim is about to end
        claim = self._ask(self._store.claim(workflow.uid, attempt))
        if claim is None:
            return False
        self.claimed = claim
        self._runs.note_claimer(workflow.uid, claim, this_process())
        return True

    def _start(self, workflow: Workflow, attempt: int, claim: Claim) -> None:
        if self._stops.count:
            raise Interrupted
        self.claimed, self.started = None, True
        name = pod_name(workflow.key.name, workflow.uid, attempt)
        try:
            self._pods.start(name, attempt, claim, self._environment(workflow, claim, name))
        except (OSError, ValueError) as error:
            raise StoreError(f"the process of attempt {attempt} cannot be started: {error}") from error
        self._display.waiting("", None)

    def _environment(self, workflow: Workflow, claim: Claim, name: str) -> dict[str, str]:
        one = {"PERDURE_RUN_ID": str(workflow.uid), "PERDURE_CLAIM": str(claim), "PERDURE_POD_NAME": name}
        return {**self._variables, **one}
