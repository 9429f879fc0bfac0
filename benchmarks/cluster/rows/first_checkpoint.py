"""From the creation of a Workflow to its first checkpoint, against a bare pod to its first line of Python."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.cluster.bare import beyond_a_pod
from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.runs import STEPS, Run
from benchmarks.table import Row


def rows(ground: ClusterGround, rounds: int) -> Iterable[Row]:
    return beyond_a_pod(
        ground,
        rounds,
        "a Workflow created to its first checkpoint committed",
        lambda namespace: _run(ground, namespace),
        aim=0.3,
        parts={
            "inserted": "to the run's row",
            "claimed": "to its claim",
            "begun": "to the process's first statement",
            "checkpoint": "to the checkpoint",
        },
    )


def _run(ground: ClusterGround, namespace: str) -> dict[str, float]:
    with Run.of(ground, namespace, STEPS) as run:
        run.until_succeeded()
        at = run.times()
        [(_, committed)] = run.steps(1)
    return {
        "seconds": committed - run.since,
        "inserted": at["inserted"] - run.since,
        "claimed": at["claimed"] - at["inserted"],
        "begun": at["begun"] - at["claimed"],
        "checkpoint": committed - at["begun"],
    }
