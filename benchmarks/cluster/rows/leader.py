"""From the end of the operator that leads to the next reconcile by the one that stands by.

Workflows are created all the while, suspended so that they have no pods: the first whose run the new leader inserts
shows that it reconciles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime

from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.runs import STEPS, Run
from benchmarks.table import Row, paired
from tests.cluster.api import Json
from tests.cluster.cluster import Capability
from tests.cluster.product import operator
from tests.cluster.product.leadership import holder, leader, lease
from tests.cluster.product.pod_faults import kill_container
from tests.harness.eventually import eventually

_AIM_KILLED = 20.0
_AIM_ENDED = 3.0
_EVERY = 0.1  # seconds from one Workflow to the next
_PATIENCE = 60.0


def rows(ground: ClusterGround, rounds: int) -> Iterable[Row]:
    if Capability.NODE_COMMANDS not in ground.cluster.capabilities:
        ground.say(f"{ground.cluster.title} offers no {Capability.NODE_COMMANDS}")
        return
    installation = ground.installation
    api, pods = ground.cluster.api, f"/api/v1/namespaces/{installation.namespace}/pods"

    def kill(pod: Json) -> None:
        kill_container(ground.cluster, pod, "operator")

    def delete(pod: Json) -> None:
        api.delete(f"{pods}/{pod['metadata']['name']}")

    def taken_over(strike: Callable[[Json], None]) -> dict[str, float]:
        pod = leader(installation)
        taken = _taken_over(ground, lambda: strike(pod))
        if strike is kill:
            delete(pod)  # the next time, its container would be kept from starting for a while
        operator.until_available(api, installation.namespace, 2)
        return taken

    operator.scale(api, installation.namespace, 2)
    try:
        taken = paired(rounds, killed=lambda: taken_over(kill), ended=lambda: taken_over(delete))
    finally:
        operator.scale(api, installation.namespace, 1)
    for what, name, aim in (
        ("leader killed", "killed", _AIM_KILLED),
        ("leader's pod deleted, which ends it in order,", "ended", _AIM_ENDED),
    ):
        seconds, lease_after = taken[name]["seconds"], taken[name]["lease"]
        yield Row(
            f"{what} to the next reconcile by the other",
            seconds.text("s", 1),
            f"until the other has the Lease {lease_after.text('s', 1)}",
            "",
            f"{aim:g} s",
            seconds.median <= aim,
        )


def _taken_over(ground: ClusterGround, strike: Callable[[], None]) -> dict[str, float]:
    installation = ground.installation
    sql = (
        "SELECT min(extract(epoch FROM created))::float8 AS at FROM perdure.runs WHERE namespace = %s AND created > %s"
    )
    before = holder(installation)
    with installation.workspace() as namespace:
        began = time.time()
        strike()

        def another_leads() -> str | None:
            Run.start(ground, namespace, STEPS, suspend=True)
            now = lease(installation)
            return str(now["acquireTime"]) if now["holderIdentity"] not in {before, ""} else None

        acquired = datetime.fromisoformat(str(eventually(another_leads, _PATIENCE, every=_EVERY)))
        Run.start(ground, namespace, STEPS, suspend=True)
        reconciled = eventually(
            lambda: installation.store.rows(sql, namespace, acquired)[0]["at"], _PATIENCE, every=_EVERY
        )
    return {"seconds": float(reconciled) - began, "lease": acquired.timestamp() - began}
