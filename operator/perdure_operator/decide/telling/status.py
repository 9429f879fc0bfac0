"""Makes the status of a situation by a table of conditions, and decides when it is to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from ...truncate import cut
from ..images import moved_tag
from ..observed import FINISHED, STALLED, Condition, Observed, Run, Status
from ..plan import Kind, Reason, Situation
from ..pod_exit import lost_forged_steps
from .run_result import error_of, result_of

__all__ = [
    "IMAGE_CHANGED",
    "Writing",
    "bound",
    "is_stalled",
    "reason_of",
    "seen_again",
    "status_of",
    "succeeded",
    "writing",
]

SUCCEEDED: Final = "Succeeded"
RECONCILING: Final = "Reconciling"
IMAGE_CHANGED: Final = "ImageChanged"
"""A condition that warns: attempts have run different images under one name. kstatus ignores it."""

_MAX_MESSAGE: Final = 1024
"""Bytes of a condition's message."""

_MAX_STEP: Final = 1024
"""Bytes of a step's key."""

_TABLE: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.GOING: {FINISHED: "False", SUCCEEDED: "Unknown", RECONCILING: "True"},
    Kind.RESTING: {FINISHED: "False", SUCCEEDED: "Unknown"},
    Kind.STALLED: {FINISHED: "False", SUCCEEDED: "Unknown", STALLED: "True"},
    Kind.SUCCEEDED: {FINISHED: "True", SUCCEEDED: "True"},
    Kind.FAILED: {FINISHED: "True", SUCCEEDED: "False", STALLED: "True"},
}

_PHASES: Final[Mapping[Reason, str]] = {
    Reason.AT_CAPACITY: "Pending",
    Reason.UNSCHEDULABLE: "Pending",
    Reason.SUSPENDING: "Running",
}
_PHASES_OF_KIND: Final[Mapping[Kind, str]] = {Kind.STALLED: "Stalled", Kind.SUCCEEDED: "Succeeded"}
"""Reasons and kinds that are in neither table have the reason itself as phase."""


def succeeded(status: Status) -> bool:
    """Whether the Workflow has succeeded."""
    return status.says(SUCCEEDED)


def reason_of(status: Status) -> str | None:
    """The reason of a status's situation."""
    condition = status.conditions.get(FINISHED)
    return None if condition is None else condition.reason


def is_stalled(status: Status) -> bool:
    """Whether the Workflow needs a person's help."""
    return status.says(STALLED) and not status.finished


def status_of(observed: Observed, situation: Situation, *, restarted: bool, restart_noted: bool) -> Status:
    """The status of a situation.

    Args:
        observed: the Workflow with its run and pods.
        situation: that the status shows.
        restarted: counts start anew. The old ones are of another store, and a person has requested a restart.
        restart_noted: the status notes the value of the restart annotation.
    """
    workflow, run = observed.workflow, observed.run
    old, now = workflow.status, observed.now.replace(microsecond=0)
    ended = situation.kind in (Kind.SUCCEEDED, Kind.FAILED)
    new = replace(
        old,
        observed_generation=workflow.generation,
        phase=_phase(situation, run),
        conditions=_conditions(observed, situation),
        completion_time=(old.completion_time or (run.finished if run is not None else None) or now) if ended else None,
        current_step=None,
        result=None,
        error_type=None,
        error_message=None,
        restart=workflow.restart if restart_noted else old.restart,
        cancel_time=(old.cancel_time or now) if situation.reason == Reason.CANCELLING else old.cancel_time,
    )
    if situation.reason == Reason.CHECKPOINTS_MISSING:
        # Counts of an inconsistent store are not facts about this run.
        return new
    if restarted:
        new = replace(new, attempts=0, steps_completed=0, start_time=None, pod_name=None, cancel_time=None)
    if run is None:
        return new
    error_type, error_message = error_of(run)
    return replace(
        new,
        attempts=max(new.attempts, run.attempt),
        steps_completed=run.steps if lost_forged_steps(run) else max(new.steps_completed, run.steps),
        current_step=cut(run.current_step, _MAX_STEP) if run.begun and run.current_step is not None else None,
        pod_name=_pod_name(observed, new.pod_name),
        result=result_of(run),
        error_type=error_type,
        error_message=error_message,
    )


def bound(observed: Observed, status: Status) -> Status:
    """The status with the store's id and the start time, if they are not set yet."""
    return replace(
        status,
        store_id=observed.store_id,
        start_time=status.start_time or observed.now.replace(microsecond=0),
    )


def seen_again(observed: Observed) -> Status:
    """The status of a finished Workflow after a change of its spec or its restart annotation.

    Only the observed generation and annotation change, and the warning about images: the image of a short attempt may
    become known only after its run has ended.
    """
    generation, old = observed.workflow.generation, observed.workflow.status
    conditions = {**old.conditions, **_warnings(observed)}
    conditions = {name: replace(condition, generation=generation) for name, condition in conditions.items()}
    return replace(old, observed_generation=generation, conditions=conditions, restart=observed.workflow.restart)


class Writing(Enum):
    """When a status is to be written."""

    NOT = auto()
    SOON = auto()
    NOW = auto()


def writing(old: Status, new: Status) -> Writing:
    """When the difference between two statuses is to be written.

    Counts of steps and the wording of messages may wait; so may the first pod's name while it starts.
    """
    if old == new:
        return Writing.NOT
    return Writing.SOON if _essence(old, old) == _essence(new, old) else Writing.NOW


def _essence(status: Status, old: Status) -> Status:
    first = old.attempts == 0 and reason_of(old) == Reason.STARTING and status.attempts <= 1
    return replace(
        status,
        conditions={name: replace(condition, message="") for name, condition in status.conditions.items()},
        steps_completed=0,
        current_step=None,
        attempts=0 if first else status.attempts,
        pod_name=None if first else status.pod_name,
    )


def _conditions(observed: Observed, situation: Situation) -> dict[str, Condition]:
    old, conditions = observed.workflow.status.conditions, {}
    message = cut(situation.message, _MAX_MESSAGE)
    for name, state in _TABLE[situation.kind].items():
        before = old.get(name)
        since = before.since if before is not None and before.status == state else observed.now.replace(microsecond=0)
        conditions[name] = Condition(name, state, str(situation.reason), message, since, observed.workflow.generation)
    return {**conditions, **_warnings(observed)}


def _warnings(observed: Observed) -> dict[str, Condition]:
    """The condition of a tag that has moved. Once set it stays, even if the tag moves back."""
    workflow, moved = observed.workflow, moved_tag(observed)
    before = workflow.status.conditions.get(IMAGE_CHANGED)
    if moved is None:
        return {} if before is None else {IMAGE_CHANGED: replace(before, generation=workflow.generation)}
    since = observed.now.replace(microsecond=0) if before is None else before.since
    message = cut(moved, _MAX_MESSAGE)
    return {IMAGE_CHANGED: Condition(IMAGE_CHANGED, "True", "TagMoved", message, since, workflow.generation)}


def _phase(situation: Situation, run: Run | None) -> str:
    if situation.reason == Reason.STORE_SUSPECTED:
        return "Running" if run is not None and run.begun else "Pending"
    if situation.kind is Kind.FAILED:
        return "Cancelled" if situation.reason == Reason.CANCELLED else "Failed"
    return _PHASES_OF_KIND.get(situation.kind) or _PHASES.get(situation.reason) or str(situation.reason)


def _pod_name(observed: Observed, before: str | None) -> str | None:
    run = observed.run
    if run is None:
        return before
    newest = [pod for pod in observed.pods if pod.attempt == run.attempt and run.claim in (None, pod.claim)]
    return min(newest, key=lambda pod: (pod.name, pod.uid)).name if newest else before
