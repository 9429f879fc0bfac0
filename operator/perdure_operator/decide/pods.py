"""Chooses the pods to delete: running pods of ended attempts soon, ended pods later, all but a few for their logs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from .actions import DeletePod
from .limits import seconds_since
from .observed import Observed, Pod, PodPhase, Run
from .timeouts import LINGER

__all__ = ["pods_to_delete"]


def pods_to_delete(
    observed: Observed, *, ended: datetime | None, succeeded: bool
) -> tuple[list[DeletePod], list[float]]:
    """The pods to delete now, and the seconds until others are to be deleted; `ended`: when the run ended, or None."""
    run = observed.run
    delete: list[DeletePod] = []
    looks: list[float] = []
    over: list[Pod] = []
    for pod in observed.pods:
        if pod.deleting or (ended is None and not _of_ended_attempt(pod, run)):
            continue
        if pod.over:
            over.append(pod)
            continue
        left = 0.0 if _never_began(pod, run) else LINGER - _ended_for(observed, pod, ended)
        if left <= 0:
            delete.append(DeletePod(pod))
        else:
            looks.append(left)
    if succeeded and ended is not None:
        left = observed.policy.succeeded_pods - seconds_since(ended, observed.now)
        if over and left > 0:
            looks.append(left)
        elif over:
            delete += [DeletePod(pod) for pod in over]
    else:
        over.sort(key=lambda pod: (pod.attempt, pod.name, pod.uid))
        delete += [DeletePod(pod) for pod in over[: max(0, len(over) - observed.policy.failed_pods)]]
    return delete, looks


def _of_ended_attempt(pod: Pod, run: Run | None) -> bool:
    # A pod of a later attempt than the run's newest is left alone: the observation or the store is out of date.
    return run is not None and pod.attempt <= run.attempt and (run.claim is None or pod.claim != run.claim)


def _never_began(pod: Pod, run: Run | None) -> bool:
    """Whether the pod has no logs. The store can have a short attempt's end before the kubelet reports its start."""
    last = None if run is None else run.last
    began = last is not None and last.attempt == pod.attempt and last.ending.begun
    return pod.phase is PodPhase.PENDING and pod.end is None and not began


def _ended_for(observed: Observed, pod: Pod, ended: datetime | None) -> float:
    run, now = observed.run, observed.now
    known: Sequence[datetime | None] = (
        ended,
        run.last.at if run is not None and run.last is not None and run.last.attempt >= pod.attempt else None,
        pod.finished_at if pod.end is not None else None,
    )
    times = [seconds_since(moment, now) for moment in known if moment is not None]
    if run is not None and run.claim is not None and pod.attempt < run.attempt:
        times.append(run.claimed_for)
    return max(times) if times else seconds_since(pod.created, now)
