"""From the creation of a Workflow to its first checkpoint, against a bare pod to its first line of Python."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.cluster.bare import pod_start
from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.runs import STEPS, Run
from benchmarks.table import Row, paired

_AIM = 0.3


def rows(ground: ClusterGround, rounds: int) -> Iterable[Row]:
    with ground.installation.workspace() as namespace:
        pod_start(ground, namespace)  # what happens only once
        _run(ground, namespace)
        taken = paired(
            rounds,
            bare=lambda: {"seconds": pod_start(ground, namespace)},
            ours=lambda: _run(ground, namespace),
        )
    ours, bare = taken["ours"], taken["bare"]["seconds"]
    more = ours["seconds"].minus(bare)
    yield Row(
        "a Workflow created to its first checkpoint committed",
        ours["seconds"].text("s", 2),
        f"a bare pod created to its first line of Python {bare.text('s', 2)}",
        f"{more.text('s', 2)} more",
        f"{_AIM} s more",
        more.median <= _AIM,
    )
    parts = ", ".join(
        f"{what} {ours[name].text('s', 3)}"
        for name, what in {
            "inserted": "to the run's row",
            "claimed": "to its claim",
            "begun": "to the process's first statement",
            "checkpoint": "to the checkpoint",
        }.items()
    )
    yield Row("of which", parts)


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
