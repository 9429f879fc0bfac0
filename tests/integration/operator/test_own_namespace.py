"""Who may create Workflows in the operator's own namespace gets no pod there, and what runs there is not lost."""

from __future__ import annotations

import signal
from typing import Any

from tests.harness.eventually import eventually

from .scene import GREETING, Scene

JEWELS = {
    "spec": {
        "serviceAccountName": "perdure-operator",
        "automountServiceAccountToken": True,
        "containers": [
            {
                "name": "workflow",
                "env": [{"name": "OWNER", "valueFrom": {"secretKeyRef": {"name": "perdure-database", "key": "url"}}}],
            }
        ],
    }
}
"""What an attacker wants: the operator's account, and the login that owns the store."""

HELD = """
import time

from perdure import step, step_context, workflow

@step
def first() -> int:
    return step_context().attempt

@step
def second() -> int:
    while step_context().attempt == 1:
        time.sleep(0.05)
    return step_context().attempt

@workflow
def main(name: str) -> list[int]:
    return [first(), second()]
"""


def until_refused(scene: Scene, name: str = "one") -> str:
    """Wait until a Workflow is told to be where none may start; the message."""

    def told() -> str:
        condition = scene.condition("Stalled", name)
        assert condition is not None
        assert condition["reason"] == "NamespaceRefused"
        return str(condition["message"])

    return eventually(told, deadline=20)


def test_a_new_workflow_gets_no_run_and_no_pod_and_its_config_map_is_not_read(
    start_operator: Any, scene: Scene, namespace: str
) -> None:
    code = {"metadata": {"name": "code"}, "data": {"greeting.py": GREETING}}
    scene.api.create(f"/api/v1/namespaces/{namespace}/configmaps", code)
    operator = start_operator(own_namespace=namespace, resync_seconds="1")
    scene.apply(source={"configMap": {"name": "code"}}, podTemplate=JEWELS)
    said = until_refused(scene)
    assert f"no Workflow starts in {namespace}, the operator's own namespace" in said
    assert "workflows.inReleaseNamespace" in said
    eventually(lambda: scene.events() == ["NamespaceRefused"])
    for changed in ({"spec": {"serviceAccountName": "perdure-operator", "hostname": "a"}}, JEWELS):
        scene.change(podTemplate=changed)
        eventually(lambda: scene.status()["observedGeneration"] == scene.get()["metadata"]["generation"])
    until_refused(scene)
    operator.until_compared(1)
    assert scene.pods() == []
    assert scene.database.query("SELECT count(*) FROM perdure.runs") == [(0,)]
    asked = [line for line in operator.get("/metrics")[1].splitlines() if "api_requests_total{" in line]
    assert any('resource="workflows"' in line for line in asked)
    assert not [line for line in asked if 'resource="configmaps"' in line]

    operator.stop()
    start_operator(own_namespace=namespace, workflows_in_own_namespace="true")
    pod = scene.until_pod()
    assert pod["spec"]["serviceAccountName"] == "perdure-operator"  # to whom it is allowed, it is allowed


def test_a_run_that_was_inserted_before_gets_no_pod_by_a_later_change(
    start_operator: Any, scene: Scene, namespace: str
) -> None:
    before = start_operator()
    uid = scene.apply(suspend=True)
    scene.until_phase("Suspended")
    before.stop()
    start_operator(own_namespace=namespace)
    scene.change(podTemplate=JEWELS, suspend=False)
    until_refused(scene)
    assert (scene.pods(), scene.attempts(uid)) == ([], [])
    scene.change(cancel=True)
    scene.until_phase("Cancelled")


def test_an_attempt_that_runs_goes_on_and_the_next_one_waits_until_it_is_allowed(
    start_operator: Any, scene: Scene, namespace: str
) -> None:
    before = start_operator()
    uid = scene.apply(code=HELD)
    pod = scene.until_pod()
    process = scene.play(pod)
    eventually(lambda: scene.database.query("SELECT count(*) FROM perdure.steps") == [(1,)], deadline=20)
    before.stop()
    barred = start_operator(own_namespace=namespace)
    barred.until_watching()
    assert scene.status()["phase"] == "Running"
    assert process.running()
    process.signal(signal.SIGKILL)
    scene.tell_end(pod, 137)
    assert "What the run has finished is kept" in until_refused(scene)
    assert scene.attempts(uid) == [(1, "crashed")]
    barred.stop()
    start_operator(own_namespace=namespace, workflows_in_own_namespace="true")
    assert scene.play_to_the_end(scene.until_pod(2)) == 0
    scene.until_phase("Succeeded")
    assert scene.result() == [1, 2]


def test_in_other_namespaces_nothing_is_refused(start_operator: Any, scene: Scene) -> None:
    start_operator(own_namespace="perdure")
    scene.apply()
    assert scene.play_to_the_end(scene.until_pod()) == 0
    scene.until_phase("Succeeded")
