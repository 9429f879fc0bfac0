"""Places of runs that cannot start, and how namespaces share places. The test says what pods wait for, as a kubelet."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.harness.eventually import eventually
from tests.harness.workspace import Workspace

from .api_server import ApiServer
from .scene import Scene

PATIENCE = 3.0


@pytest.fixture(scope="module")
def api_server(workspace: Workspace) -> Iterator[ApiServer]:
    """One for these tests: the hundreds of Workflows that they leave would be run by operators of all namespaces."""
    made = ApiServer(workspace)
    yield made
    made.close()


def held(operator: Any, namespace: str) -> int:
    return int(operator.metric(f'places_held{{namespace="{namespace}"}}'))


def apply_all(scene: Scene, names: list[str]) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(scene.apply, names))


def say_that_images_are_missing(scene: Scene) -> None:
    """Of each pod but the good one's, as the kubelet would."""
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    status = {"phase": "Pending", "startTime": "2026-01-01T00:00:00Z"}
    container = {"name": "workflow", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": waiting}
    pods = [pod for pod in scene.pods() if "containerStatuses" not in pod.get("status", {})]
    bad = [pod for pod in pods if pod["metadata"]["labels"]["perdure.io/workflow"] != "good"]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda pod: scene.tell(pod, {**status, "containerStatuses": [container]}), bad))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hundred_missing_images_do_not_keep_a_good_one_from_starting(start_operator: Any, scene: Scene) -> None:
    operator = start_operator(max_active_runs="100", start_patience_seconds=str(PATIENCE))
    apply_all(scene, [f"bad-{number}" for number in range(100)])
    eventually(lambda: len(scene.pods()) == 100, deadline=60, every=0.5)
    say_that_images_are_missing(scene)
    scene.until_phase("Stalled", "bad-99", deadline=60)
    assert operator.metric("places_given_back_total") == 0  # nobody waits
    scene.apply("good")
    good = scene.until_pod(of="good", deadline=PATIENCE + 15)
    assert scene.play_to_the_end(good) == 0
    scene.until_phase("Succeeded", "good")
    assert 1 <= operator.metric("places_given_back_total") <= 5  # as many as wait, and not all that could
    [[name]] = scene.database.query(
        "SELECT name FROM perdure.runs WHERE attempt = 1 AND claim IS NULL AND state = 'pending' LIMIT 1"
    )
    condition = scene.condition("Stalled", str(name))
    assert condition is not None
    assert condition["reason"] == "CannotStart"
    assert "gave its place to another run; it queues again 30 s after that: ImagePullFailed: " in condition["message"]
    assert "GaveWay" in scene.events(str(name))
    assert all(pod["metadata"]["labels"]["perdure.io/workflow"] != name for pod in scene.pods())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_hundred_workflows_of_one_namespace_do_not_make_five_of_another_wait(
    api_server: Any, start_operator: Any, scene: Scene, namespace: str, database: Any, children: Any
) -> None:
    other = f"{namespace}-other"
    api_server.api.create("/api/v1/namespaces", {"metadata": {"name": other}})
    operator = start_operator(namespaces=f"{namespace},{other}", max_active_runs="10")
    few = Scene(api_server.api, other, children, database)
    apply_all(scene, [f"many-{number}" for number in range(200)])
    eventually(lambda: operator.metric("waiting_runs") == 190, deadline=90, every=0.5)
    apply_all(few, [f"few-{number}" for number in range(5)])
    eventually(lambda: operator.metric("waiting_runs") == 195, deadline=30, every=0.5)
    waits = few.until_phase("Pending", "few-0")
    said = next(one["message"] for one in waits["conditions"] if one["type"] == "Finished")
    assert "10 runs are active, as many as the operator may have at once; 0 of them are of this namespace" in said
    for pod in scene.pods()[:5]:
        scene.delete(pod["metadata"]["ownerReferences"][0]["name"])
    eventually(lambda: (held(operator, namespace), held(operator, other)) == (5, 5), deadline=30, every=0.5)
    assert len(few.pods()) == 5
