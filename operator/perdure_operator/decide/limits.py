"""The limits of a run: from its spec and the settings, cancellation, deadline, and attempts that failed in a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from .actions import EndRun
from .observed import Limits, Observed, Policy, Run, Spec
from .timeouts import DEADLINE_OVERTIME, DEFAULT_GRACE

__all__ = [
    "cancel_wanted",
    "given_up",
    "grace_of",
    "not_before",
    "overdue",
    "seconds_since",
    "wanted_limits",
    "with_limits",
]


def wanted_limits(spec: Spec, policy: Policy, run: Run) -> Limits:
    """A run's limits by spec and settings. `cancel` stays as it is: only `RequestCancel` changes it."""
    deadline = spec.active_deadline_seconds
    return Limits(
        backoff_limit=spec.backoff_limit,
        deadline_seconds=None if deadline is None else float(deadline),
        suspend=spec.suspend,
        cancel=run.limits.cancel,
        disruption_limit=policy.disruption_limit,
    )


def with_limits(run: Run, limits: Limits) -> Run:
    """The run with these limits. The time to a changed deadline is unknown until the store is read again."""
    kept = run.limits.deadline_seconds == limits.deadline_seconds
    return replace(run, limits=limits, deadline_in=run.deadline_in if kept else None)


def cancel_wanted(observed: Observed, spec: Spec | None) -> bool:
    """Whether the run is to be cancelled: by its spec, or because its Workflow is being deleted."""
    return observed.workflow.deleting or (spec is not None and spec.cancel)


def overdue(run: Run) -> EndRun | None:
    """The end of a run whose deadline is over, if its process has not ended it by itself."""
    if run.cleans_up:
        # The cleanup has a time limit of its own.
        return None
    if run.deadline_in is None or run.deadline_in > (-DEADLINE_OVERTIME if run.begun else 0):
        return None
    limit = run.limits.deadline_seconds
    late = "" if limit is None else f", {limit:g} s after it was taken on or last resumed"
    message = f"the run had not ended by its deadline{late}"
    return EndRun("perdure.errors:DeadlineExceeded", message)


def given_up(run: Run) -> EndRun | None:
    """The end of an unclaimed run that exceeds its limits, since they were lowered after its last attempt."""
    last = "" if run.last is None else f"; the last: {run.last.detail or run.last.ending}"
    if run.crashes > run.limits.backoff_limit:
        message = (
            f"{run.crashes} attempts in a row ended in a crash without a new checkpoint"
            f" (backoff limit {run.limits.backoff_limit}){last}"
        )
        return EndRun("perdure.errors:BackoffLimitExceeded", message)
    if run.disruptions > run.limits.disruption_limit:
        message = (
            f"{run.disruptions} attempts in a row were disrupted before they had a new checkpoint"
            f" (limit {run.limits.disruption_limit}){last}"
        )
        return EndRun("perdure.errors:DisruptionLimitExceeded", message)
    return None


def grace_of(spec: Spec | None) -> float:
    """Seconds from the request to end a pod until it is killed."""
    return DEFAULT_GRACE if spec is None or spec.grace_seconds is None else spec.grace_seconds


def seconds_since(moment: datetime, now: datetime) -> float:
    """Seconds from a moment to another; 0 if it is later."""
    return max(0.0, _difference(moment, now))


def not_before(moment: datetime, other: datetime) -> bool:
    """Whether a moment is not before another."""
    return _difference(other, moment) >= 0


def _difference(moment: datetime, now: datetime) -> float:
    if (moment.tzinfo is None) != (now.tzinfo is None):
        moment, now = moment.replace(tzinfo=None), now.replace(tzinfo=None)
    return (now - moment).total_seconds()
