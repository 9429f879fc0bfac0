"""The rate at which 100 Workflows of one step, created at once, finish, against 100 bare pods.

The bare program loads the libraries that `perdure exec` loads, and uses them as far as it must to have loaded them:
what a program would pay that did such a step without us. It connects to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.cluster.bare import bare_pod, ended, until_no_pods
from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.runs import STEPS
from benchmarks.table import Row, paired
from tests.cluster.api import Json
from tests.cluster.product import workflows
from tests.harness.eventually import eventually

_COUNT = 100
_AIM = 0.75
_ROUNDS = 3
_CLIENTS = 8
_LOOK = 0.5  # seconds
_PATIENCE = 300.0
_BARE = "import psycopg, pydantic; print(pydantic.TypeAdapter(int).validate_json('1'))"

# As much as all of them at once leave room for: the scheduler is not what is measured.
_TEMPLATE: Json = {
    "spec": {
        "containers": [
            {"name": "workflow", "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "1Gi"}}}
        ]
    }
}


def rows(ground: ClusterGround, rounds: int) -> Iterable[Row]:
    taken = paired(min(rounds, _ROUNDS), bare=lambda: _bare(ground), ours=lambda: _ours(ground))
    ours, bare = taken["ours"], taken["bare"]["rate"]
    ratio = ours["rate"].over(bare)
    yield Row(
        f"{_COUNT} Workflows created at once, finished per second",
        ours["rate"].text("/s", 2),
        f"bare pods {bare.text('/s', 2)}",
        ratio.text(digits=2),
        f"{_AIM}",
        ratio.median >= _AIM,
    )
    ratio = ours["pod_rate"].over(bare)
    yield Row("the same, until their pods had ended, too", ours["pod_rate"].text("/s", 2), "", ratio.text(digits=2))


def _bare(ground: ClusterGround) -> dict[str, float]:
    with ground.installation.workspace() as namespace:
        bodies = [bare_pod(ground, namespace, _BARE, _TEMPLATE) for _ in range(_COUNT)]
        began = _create(ground, f"/api/v1/namespaces/{namespace}/pods", bodies)
        seconds = _until_all(ground, f"/api/v1/namespaces/{namespace}/pods", ended) - began
    until_no_pods(ground, namespace)
    return {"rate": _COUNT / seconds}


def _ours(ground: ClusterGround) -> dict[str, float]:
    with ground.installation.workspace() as namespace:
        path = workflows.path(namespace)
        bodies = [workflows.workflow(f"run-{n}", STEPS, podTemplate=_TEMPLATE) for n in range(_COUNT)]
        began = _create(ground, path, bodies)
        seconds = _until_all(ground, path, _succeeded) - began
        pods_seconds = _until_all(ground, f"/api/v1/namespaces/{namespace}/pods", ended) - began
    until_no_pods(ground, namespace)
    return {"rate": _COUNT / seconds, "pod_rate": _COUNT / pods_seconds}


def _create(ground: ClusterGround, path: str, bodies: Iterable[Json]) -> float:
    """Create them all, by several clients; when that began."""
    began = time.time()
    with ThreadPoolExecutor(_CLIENTS) as clients:
        list(clients.map(lambda body: ground.cluster.api.create(path, body), bodies))
    return began


def _until_all(ground: ClusterGround, path: str, done: Callable[[Json], object]) -> float:
    """Wait until all are done, for all that a client of the API can see; when that was."""

    def all_done() -> bool:
        items = ground.cluster.api.get(path)["items"]
        return sum(bool(done(item)) for item in items) == _COUNT

    eventually(all_done, _PATIENCE, every=_LOOK)
    return time.time()


def _succeeded(body: Json) -> bool:
    assert workflows.condition(body, "Succeeded").get("status") != "False", body
    return workflows.condition(body, "Finished").get("status") == "True"
