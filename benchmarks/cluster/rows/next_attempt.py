"""From the death of a user process to the first step of the next attempt, against the start of a bare pod."""

from __future__ import annotations

import time
from collections.abc import Iterable

from benchmarks.cluster.bare import pod_start
from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.runs import HELD, Run
from benchmarks.table import Row, paired
from tests.cluster.product.pod_faults import kill_user_process

_AIM = 0.35
_CALM = 1.0  # seconds until what the begin of an attempt brings about is over


def rows(ground: ClusterGround, rounds: int) -> Iterable[Row]:
    with ground.installation.workspace() as namespace:
        pod_start(ground, namespace)  # what happens only once
        taken = paired(
            rounds,
            bare=lambda: {"seconds": pod_start(ground, namespace)},
            ours=lambda: _next_attempt(ground, namespace),
        )
    ours, bare = taken["ours"], taken["bare"]["seconds"]
    more = ours["seconds"].minus(bare)
    yield Row(
        "user process killed to the next attempt's first step begun, in a new pod",
        ours["seconds"].text("s", 2),
        f"a bare pod created to its first line of Python {bare.text('s', 2)}",
        f"{more.text('s', 2)} more",
        f"{_AIM} s more",
        more.median <= _AIM,
    )
    parts = ", ".join(
        f"{what} {ours[name].text('s', 3)}"
        for name, what in {
            "claimed": "to the next claim",
            "begun": "to the process's first statement",
            "step": "to the step",
        }.items()
    )
    yield Row("of which", parts)


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
