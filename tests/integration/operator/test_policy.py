"""What the operator's settings say of all Workflows: each is heeded."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.cluster.api import Json
from tests.harness.eventually import eventually

from .scene import Scene

TEMPLATE = {
    "metadata": {"labels": {"team": "platform"}},
    "spec": {
        "nodeSelector": {"pool": "workflows"},
        "containers": [{"name": "workflow", "resources": {"limits": {"memory": "2Gi"}}}],
    },
}


def names(scene: Scene) -> set[str]:
    items = scene.api.get(f"/apis/perdure.io/v1alpha1/namespaces/{scene.namespace}/workflows")["items"]
    return {item["metadata"]["name"] for item in items}


def never_begins(scene: Scene, attempt: int, of: str) -> Json:
    pod = scene.until_pod(attempt, of=of)
    scene.tell_end(pod, 64)
    return pod


def until_the_next_second() -> None:
    """Times in a status are whole seconds: of two Workflows that end in the same one neither is the older."""
    now = int(time.time())
    eventually(lambda: int(time.time()) > now)


def test_pods_have_the_operators_template_and_account_and_runs_its_deadline(start_operator: Any, scene: Scene) -> None:
    start_operator(pod_template=json.dumps(TEMPLATE), pod_service_account="runner", active_deadline_seconds="2")
    scene.apply()
    pod = scene.until_pod()
    [container] = pod["spec"]["containers"]
    assert pod["spec"]["serviceAccountName"] == "runner"
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"]["nodeSelector"] == {"pool": "workflows"}
    assert pod["metadata"]["labels"]["team"] == "platform"
    assert container["resources"]["limits"] == {"memory": "2Gi"}
    own = {"spec": {"serviceAccountName": "mine", "nodeSelector": {"pool": None, "disk": "fast"}}}
    scene.apply("own", podTemplate=own, activeDeadlineSeconds=3600)
    pod = scene.until_pod(of="own")
    assert pod["spec"]["serviceAccountName"] == "mine"
    assert pod["spec"]["nodeSelector"] == {"disk": "fast"}
    scene.until_phase("Failed", deadline=15)
    assert (scene.condition("Finished") or {})["reason"] == "DeadlineExceeded"
    assert scene.phase("own") != "Failed"


def test_a_run_survives_as_many_disruptions_as_it_may(start_operator: Any, scene: Scene) -> None:
    start_operator(disruption_limit="1")
    uid = scene.apply()
    for attempt in (1, 2):
        scene.delete_pod(scene.until_pod(attempt))
    scene.until_phase("Failed")
    assert (scene.condition("Finished") or {})["reason"] == "DisruptionLimitExceeded"
    assert scene.attempts(uid) == [(1, "evicted"), (2, "evicted")]


def test_pods_of_ended_attempts_stay_for_as_long_and_as_many_as_is_said(start_operator: Any, scene: Scene) -> None:
    start_operator(failed_pods_history_limit="1", succeeded_pods_ttl_seconds="0")
    scene.apply()
    assert scene.play_to_the_end(scene.until_pod()) == 0
    scene.until_phase("Succeeded")
    eventually(lambda: scene.pods() == [], deadline=20)
    scene.apply("bad", backoffLimit=1)
    for attempt in (1, 2):
        never_begins(scene, attempt, "bad")
    scene.until_phase("Failed", "bad")
    eventually(lambda: [pod["metadata"]["labels"]["perdure.io/attempt"] for pod in scene.pods()] == ["2"], deadline=20)


def test_finished_workflows_are_kept_as_many_and_as_long_as_is_said(start_operator: Any, scene: Scene) -> None:
    first = start_operator()
    for name in ("old", "new"):
        scene.apply(name)
        assert scene.play_to_the_end(scene.until_pod(of=name)) == 0
        scene.until_phase("Succeeded", name)
        until_the_next_second()
    scene.apply("own", ttlSecondsAfterFinished=86400, backoffLimit=0)
    scene.apply("bad", backoffLimit=0)
    for name in ("own", "bad"):
        never_begins(scene, 1, name)
        scene.until_phase("Failed", name)
    scene.apply("going")
    scene.until_pod(of="going")
    first.stop()
    limited = start_operator(successful_runs_history_limit="1")
    eventually(lambda: names(scene) == {"new", "own", "bad", "going"}, deadline=30)
    limited.stop()
    start_operator(ttl_seconds_after_finished="0")
    eventually(lambda: names(scene) == {"own", "going"}, deadline=30)
