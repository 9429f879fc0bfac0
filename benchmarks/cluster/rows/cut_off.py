"""From the moment at which a node is cut off to the next step of its run, committed on another node."""

from __future__ import annotations

import time
from collections.abc import Iterable

from benchmarks.cluster.bare import pod_start
from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.runs import HELD, Run
from benchmarks.table import Row, paired
from tests.cluster.api import Json
from tests.cluster.cluster import Capability
from tests.cluster.faults import nodes
from tests.cluster.product import workflows
from tests.cluster.product.placement import free_node, only_on

_AIM = 12.0
_ROUNDS = 3  # each waits for the node to come back


def rows(ground: ClusterGround, rounds: int) -> Iterable[Row]:
    if Capability.PARTITION not in ground.cluster.capabilities:
        ground.say(f"{ground.cluster.title} offers no {Capability.PARTITION}")
        return
    node = free_node(ground.installation)
    with ground.installation.workspace() as namespace:
        taken = paired(
            min(rounds, _ROUNDS),
            bare=lambda: {"seconds": pod_start(ground, namespace)},
            ours=lambda: _cut_off(ground, namespace, node),
        )
    seconds = taken["ours"]["seconds"]
    yield Row(
        "node cut off to the next step committed on another node",
        seconds.text("s", 1),
        f"a bare pod's start {taken['bare']['seconds'].text('s', 2)}",
        "",
        f"{_AIM:g} s",
        seconds.median <= _AIM,
    )


def _cut_off(ground: ClusterGround, namespace: str, node: str) -> dict[str, float]:
    with only_on(ground.cluster, node):
        run = Run.start(ground, namespace, HELD)
        run.until_step(1)
        # A moment before, nobody has told the operator that the attempt runs, and it hears of its silence later.
        workflows.until(ground.cluster, namespace, run.name, _runs)
    with run.gone_after():
        began = time.time()
        with nodes.cut_off(ground.cluster, node):
            _, committed = run.until_step(2)
            assert run.pod()["spec"]["nodeName"] != node
    return {"seconds": committed - began}


def _runs(body: Json) -> bool:
    return workflows.condition(body, "Finished").get("reason") == "Running"
