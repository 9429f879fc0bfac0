"""Observed worlds for the tests of decide: one that is in order, and what differs from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim
from perdure.store.runs.model import RunState
from perdure_operator import decide as deciding
from perdure_operator.decide.actions import PostEvent, RequeueAfter, WriteStatus
from perdure_operator.decide.observed import (
    ContainerEnd,
    Ended,
    Key,
    Limits,
    Observed,
    Pod,
    PodPhase,
    Run,
    Spec,
    Status,
    Workflow,
)

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
UID = UUID("0a1b2c3d-0000-4000-8000-000000000001")
STORE = UUID("57000000-0000-4000-8000-000000000001")
OTHER_STORE = UUID("57000000-0000-4000-8000-000000000002")
LIMITS = Limits(backoff_limit=6, deadline_seconds=None, suspend=False, cancel=False)


def token(attempt: int, other: int = 0) -> Claim:
    return Claim(UUID(int=attempt + 1000 * other + 1))


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def spec(**changes: Any) -> Spec:
    return replace(Spec(entrypoint="bank:transfer", input="{}"), **changes)


def workflow(**changes: Any) -> Workflow:
    return replace(Workflow(Key("shop", "transfer-17"), UID, 1, ago(100), spec()), **changes)


def run(state: RunState = RunState.PENDING, attempt: int = 0, **changes: Any) -> Run:
    return replace(Run(state, attempt, None, begun=False, limits=LIMITS), **changes)


def claimed(attempt: int = 1, **changes: Any) -> Run:
    return run(RunState.PENDING, attempt, claim=token(attempt), **changes)


def begun(attempt: int = 1, **changes: Any) -> Run:
    return run(RunState.RUNNING, attempt, claim=token(attempt), begun=True, started=ago(50), **changes)


def ended_attempt(attempt: int = 1, ending: str = "crashed", detail: str | None = "killed by SIGKILL") -> Ended:
    return Ended(attempt, AttemptEnd(ending), None, 9, detail, ago(1))


def pod(attempt: int = 1, phase: PodPhase = PodPhase.RUNNING, **changes: Any) -> Pod:
    made = Pod(
        f"transfer-17-0a1b2c3d-{attempt}", f"pod-{attempt}", attempt, token(attempt), phase, ago(40), node="node-1"
    )
    return replace(made, **changes)


def over(attempt: int = 1, code: int = 137, reason: str = "Error", message: str = "", **changes: Any) -> Pod:
    phase = PodPhase.SUCCEEDED if code == 0 else PodPhase.FAILED
    return pod(attempt, phase, end=ContainerEnd(code, reason, message), finished_at=ago(1), **changes)


def observed(run: Run | None = None, pods: Sequence[Pod] = (), **changes: Any) -> Any:
    """What is observed of a Workflow whose status names the store, unless a workflow is given."""
    if "workflow" not in changes:
        changes["workflow"] = workflow(status=started())
    return Observed(run=run, pods=pods, **{"store_id": STORE, "now": NOW, **changes})


def started(**changes: Any) -> Status:
    """A status that names the store."""
    return replace(Status(store_id=STORE, start_time=ago(90)), **changes)


def told(seen: Observed) -> Any:
    """The same, after its status was written."""
    status = new_status(seen)
    return seen if status is None else replace(seen, workflow=replace(seen.workflow, status=status))


def decide(seen: Observed) -> list[Any]:
    """What is decided; a test knows which actions to expect."""
    return list(deciding.decide(seen))


def new_status(seen: Observed) -> Any:
    """The status that is written, at once or soon."""
    written = [action.status for action in decide(seen) if isinstance(action, WriteStatus)]
    assert len(written) <= 1
    return written[0] if written else None


def deeds(seen: Observed) -> list[Any]:
    """What is done, besides telling and waiting."""
    return [one for one in decide(seen) if not isinstance(one, (WriteStatus, PostEvent, RequeueAfter))]


def reason(seen: Observed) -> str:
    """The reason that is told, or was told already."""
    status = new_status(seen) or seen.workflow.status
    return status.conditions["Finished"].reason


def message(seen: Observed) -> str:
    status = new_status(seen) or seen.workflow.status
    return status.conditions["Finished"].message


def story(seen: Observed) -> list[str]:
    """The reasons of the events that are posted."""
    return [action.reason for action in decide(seen) if isinstance(action, PostEvent)]


def requeue_after(seen: Observed) -> Any:
    """In how many seconds it is looked at again."""
    requeues = [action.after for action in decide(seen) if isinstance(action, RequeueAfter)]
    return min(requeues, default=None)
