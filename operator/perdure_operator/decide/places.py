"""An attempt that cannot start gives its place to a run that waits for one (docs/adr/0023).

A run holds one of the operator's places from its claim on, before its pod exists, and the reason why the pod does not
start may last for ever. So the time is limited, from when the reason was first seen. Then the attempt ends, its pod is
deleted, and the run waits for a place again, with a longer delay each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim

from .actions import ReleaseRun
from .observed import Observed, Run, Stage
from .plan import Plan, Reason, going, stalled

__all__ = [
    "NO_CONTAINER",
    "NO_IMAGE",
    "UNSCHEDULABLE",
    "Hindrance",
    "give_way",
    "hindrance",
    "queued_again",
]

UNSCHEDULABLE: Final = frozenset({"Unschedulable", "SchedulingGated"})
NO_IMAGE: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable", "SignatureValidationFailed"}
)
NO_CONTAINER: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


class Hindrance(StrEnum):
    """The reason why an attempt cannot start, for metrics."""

    REFUSED = "PodRefused"
    """The API server rejects the pod: a quota, a policy, a webhook."""

    IMAGE = "Image"
    CONTAINER = "Container"
    """The container cannot be created: a Secret or a ConfigMap is missing, or its user is root."""

    NODE = "Node"
    """The pod has no node: none fits, or the scheduler has not handled it."""

    VOLUMES = "Volumes"
    """The volumes are not mounted: a Secret, a ConfigMap or a disk may be missing."""


_PATIENCE: Final[Mapping[Hindrance, float]] = {Hindrance.NODE: 5.0, Hindrance.VOLUMES: 5.0}
"""Factors on the setting: new nodes and disks take minutes to come up."""

_OF_A_PERSON: Final[frozenset[str]] = frozenset({Reason.IMAGE_PULL_FAILED, Reason.POD_REFUSED})


def hindrance(observed: Observed) -> Hindrance | None:
    """The reason why the attempt that holds the run cannot start; None if none is known."""
    run = observed.run
    if run is None or run.claim is None or run.begun or run.state.ended:
        return None
    pod = next((pod for pod in observed.pods if pod.claim == run.claim), None)
    if pod is None:
        return None if observed.refused is None else Hindrance.REFUSED
    reason = pod.waiting[0] if pod.waiting is not None else ""
    if reason in NO_IMAGE:
        return Hindrance.IMAGE
    if reason in NO_CONTAINER:
        return Hindrance.CONTAINER
    if reason in UNSCHEDULABLE or pod.stage is Stage.UNBOUND:
        return Hindrance.NODE
    return Hindrance.VOLUMES if pod.stage is Stage.TAKEN and pod.unready else None


def give_way(observed: Observed, claim: Claim, plan: Plan) -> Plan:
    """`plan`, or the end of the attempt, if its time to start is over and another run waits for its place."""
    what = hindrance(observed)
    if what is None or plan.situation is None or not observed.wanted:
        return plan
    left = _PATIENCE.get(what, 1.0) * observed.start_patience - observed.hindered_for
    if left > 0:
        return replace(plan, requeue_after=left if plan.requeue_after is None else min(plan.requeue_after, left))
    situation = plan.situation
    return Plan(then=[ReleaseRun(claim, AttemptEnd.COULD_NOT_START, f"{situation.reason}: {situation.message}")])


def queued_again(run: Run, due: float) -> Plan:
    """The plan for a run that gave its place back and waits to be queued again."""
    detail = "" if run.last is None else run.last.detail or ""
    reason = detail.partition(": ")[0]
    message = (
        f"attempt {run.attempt} could not start and gave its place to another run; it queues again"
        f" {run.delay:g} s after that: {detail}"
    )
    if reason in _OF_A_PERSON:
        return stalled(Reason.CANNOT_START, message, due)
    return going(Reason.BACKING_OFF, message, due)
