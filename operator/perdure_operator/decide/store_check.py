"""Checks that a Workflow's store is consistent with its status: the same store, with no fewer attempts and steps.

The operator does not start a Workflow again from an emptied, older or wrong database: that would repeat finished
steps. Only a new value of the annotation perdure.io/restart permits it.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.process.exit_codes import ExitCode

from .limits import not_before
from .observed import Observed, Pod, PodPhase, Run
from .pod_exit import lost_forged_steps

__all__ = ["doubt", "end_is_missing", "restart_asked"]

_RECORDED = (ExitCode.SUCCEEDED, ExitCode.CANCELLED)
"""A supervisor exits with these codes only after it has stored the run's end."""


def doubt(observed: Observed) -> str | None:
    """Why the run must not be started from this store; None if it may be."""
    status, run = observed.workflow.status, observed.run
    if status.store_id is not None and status.store_id != observed.store_id:
        return (
            f"the run is in the store {status.store_id}, and the operator is connected to the store"
            f" {observed.store_id}, another one or a backup of it: connect it to the right database"
        )
    if run is None:
        if status.store_id is not None:
            return f"the run is missing from the store {observed.store_id}: restore the database that had it"
        if observed.pods:
            return f"there are pods of this run, and the store {observed.store_id} does not know it"
        return None
    if run.state.ended:
        return None
    if run.attempt < status.attempts:
        return (
            f"the store is older than this status: it has {run.attempt} attempts, and there were {status.attempts}:"
            " restore a newer backup"
        )
    if (newer := _newer_pod(observed, run)) is not None:
        return (
            f"the store is older than pod {newer.name}: it has {run.attempt} attempts, and that pod is of attempt"
            f" {newer.attempt}: restore a newer backup"
        )
    if run.claim is None and run.steps < status.steps_completed and not lost_forged_steps(run):
        return (
            f"the store is older than this status: it has {run.steps} checkpoints, and there were"
            f" {status.steps_completed}: restore a newer backup"
        )
    if end_is_missing(observed.pods, run):
        return (
            "the run's process recorded an end that the store does not have: it is an older one; restore a newer backup"
        )
    return None


def _newer_pod(observed: Observed, run: Run) -> Pod | None:
    """A pod of an attempt that the store lacks. The store must be older, since a claim comes before its pod.

    Pods from before the start time are ignored: a person has requested a restart since.
    """
    start = observed.workflow.status.start_time
    if start is None:
        return None
    newer = [pod for pod in observed.pods if pod.attempt > run.attempt and not_before(pod.created, start)]
    return max(newer, key=lambda pod: (pod.attempt, pod.name), default=None)


def end_is_missing(pods: Sequence[Pod], run: Run) -> bool:
    """Whether the process of a run that has not ended has exited with a code that means that it stored the end."""
    if run.claim is None or not run.begun:
        return False
    return any(pod.claim == run.claim and _recorded_an_end(pod) for pod in pods)


def _recorded_an_end(pod: Pod) -> bool:
    if pod.end is not None:
        return pod.end.exit_code in _RECORDED
    return pod.phase is PodPhase.SUCCEEDED


def restart_asked(observed: Observed) -> bool:
    """Whether the restart annotation has a new value; each value counts once."""
    return observed.workflow.restart is not None and observed.workflow.restart != observed.workflow.status.restart
