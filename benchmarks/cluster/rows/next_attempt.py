"""From the death of a user process to the first step of the next attempt, against the start of a bare pod."""

from __future__ import annotations

import time
from collections.abc import Iterable

from benchmarks.cluster.bare import beyond_a_pod
from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.runs import HELD, Run
from benchmarks.table import Row
from tests.cluster.product.pod_faults import kill_user_process

_CALM = 1.0  # seconds until what the begin of an attempt brings about is over


def rows(ground: ClusterGround, rounds: int) -> Iterable[Row]:
    return beyond_a_pod(
        ground,
        rounds,
        "user process killed to the next attempt's first step begun, in a new pod",
        lambda namespace: _next_attempt(ground, namespace),
        aim=0.35,
        parts={
            "claimed": "to the next claim",
            "begun": "to the process's first statement",
            "step": "to the step",
        },
    )


def _next_attempt(ground: ClusterGround, namespace: str) -> dict[str, float]:
    with Run.of(ground, namespace, HELD) as run:
        run.until_step(1)
        time.sleep(_CALM)
        died = kill_user_process(ground.cluster, run.pod())
        began, _ = run.until_step(2)
        at = run.times()
    return {
        "seconds": began - died,
        "claimed": at["claimed"] - died,
        "begun": at["begun"] - at["claimed"],
        "step": began - at["begun"],
    }
