"""From a Workflow to its end: what the API server has of it meanwhile."""

from __future__ import annotations

import signal

from tests.harness.eventually import eventually
from tests.harness.processes import signal_all

from .scene import GREETING

SLOW = """
import time
from pathlib import Path
from perdure import step, workflow

@step
def first(folder: str) -> str:
    Path(folder, "first").open("a").write("x")
    return "first"

@step
def second(folder: str) -> str:
    Path(folder, "second").open("a").write("x")
    while not Path(folder, "go").exists():
        time.sleep(0.02)
    return "second"

@workflow
def main(folder: str) -> list[str]:
    return [first(folder), second(folder)]
"""

FAILING = """
from perdure import workflow

@workflow
def main(name: str) -> str:
    raise ValueError(f"nobody is called {name}")
"""


def times(folder, name):
    return len((folder / name).read_text()) if (folder / name).exists() else 0


def test_a_workflow_is_run_by_its_pod_and_ends(scene, start_operator):
    operator = start_operator()
    uid = scene.apply()
    pod = scene.until_pod()
    assert scene.status()["storeId"]
    assert scene.play_to_the_end(pod) == 0
    status = scene.until_phase("Succeeded")
    assert status["result"] == "hello you"
    assert (status["attempts"], status["steps"]["completed"]) == (1, 1)
    assert scene.attempts(uid) == [(1, "completed")]
    eventually(lambda: scene.events()[-1:] == ["Succeeded"])
    assert operator.metric('attempts_ended_total{ending="completed"}') == 1
    assert operator.metric("claim_to_begin_seconds_count") == 1
    assert operator.metric("claim_to_first_step_seconds_count") == 1
    assert 0 < operator.metric("claim_to_begin_seconds_sum") < operator.metric("claim_to_first_step_seconds_sum")
    assert operator.stop() == 0


def test_a_function_that_raises_is_a_failure_without_another_attempt(scene, start_operator):
    start_operator()
    uid = scene.apply(code=FAILING)
    assert scene.play_to_the_end(scene.until_pod()) == 1
    status = scene.until_phase("Failed")
    assert status["error"] == {"type": "builtins:ValueError", "message": "nobody is called you"}
    assert scene.condition("Finished")["status"] == "True"
    assert scene.attempts(uid) == [(1, "completed")]


def test_after_a_crash_another_pod_goes_on_from_the_last_finished_step(scene, start_operator, tmp_path):
    operator = start_operator()
    tmp_path.chmod(0o777)
    uid = scene.apply(code=SLOW, input={"folder": str(tmp_path)})
    pod = scene.until_pod()
    process = scene.play(pod)
    eventually(lambda: times(tmp_path, "second") == 1, deadline=20)
    scene.until_phase("Running")
    signal_all(process.descendants(), signal.SIGKILL)
    scene.tell_end(pod, process.wait(10))
    again = scene.until_pod(2)
    (tmp_path / "go").touch()
    assert scene.play_to_the_end(again) == 0
    status = scene.until_phase("Succeeded")
    assert status["attempts"] == 2
    assert (times(tmp_path, "first"), times(tmp_path, "second")) == (1, 2)
    assert scene.attempts(uid) == [(1, "crashed"), (2, "completed")]
    assert operator.metric('attempts_ended_total{ending="crashed"}') == 1


def test_a_lost_pod_is_seen_by_its_silence_and_replaced(scene, start_operator, tmp_path):
    start_operator()
    tmp_path.chmod(0o777)
    uid = scene.apply(code=SLOW, input={"folder": str(tmp_path)})
    process = scene.play(scene.until_pod())
    eventually(lambda: times(tmp_path, "second") == 1, deadline=20)
    process.kill_group()
    (tmp_path / "go").touch()
    assert scene.play_to_the_end(scene.until_pod(2)) == 0
    scene.until_phase("Succeeded")
    assert scene.attempts(uid) == [(1, "lost"), (2, "completed")]


def test_few_writes_tell_all_of_a_run(scene, start_operator):
    operator = start_operator()
    operator.until_leading()
    before = _writes(operator)
    scene.apply()
    scene.play_to_the_end(scene.until_pod())
    scene.until_phase("Succeeded")
    eventually(lambda: scene.events()[-1:] == ["Succeeded"])
    assert _writes(operator) - before <= 8 + 1  # the pod itself is one


def test_who_waits_for_a_person_is_measured_until_it_goes_on(scene, start_operator):
    operator = start_operator()
    scene.apply(source={"configMap": {"name": "code"}})
    scene.until_phase("Stalled")
    labels = f'{{namespace="{scene.namespace}",reason="SourceMissing"}}'
    assert operator.metric(f"workflows_stalled{labels}") == 1
    code = {"metadata": {"name": "code"}, "data": {"greeting.py": GREETING}}
    scene.api.create(f"/api/v1/namespaces/{scene.namespace}/configmaps", code)
    scene.change(suspend=True)  # has it looked at
    eventually(lambda: operator.metric("workflows_stalled") == 0, deadline=60)


def _writes(operator):
    names = [("create", "pods"), ("create", "events"), ("apply", "workflows"), ("delete", "pods"), ("patch", "events")]
    lines = operator.get("/metrics")[1].splitlines()
    found = [
        line
        for line in lines
        for verb, resource in names
        if line.startswith("perdure_operator_api_requests_total")
        and f'verb="{verb}"' in line
        and f'resource="{resource}"' in line
    ]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def test_an_attempt_is_measured_while_it_runs_and_not_again_by_the_next_operator(scene, start_operator, tmp_path):
    first = start_operator()
    tmp_path.chmod(0o777)
    scene.apply(code=SLOW, input={"folder": str(tmp_path)})
    pod = scene.until_pod()
    process = scene.play(pod)
    eventually(lambda: first.metric("claim_to_first_step_seconds_count") == 1, deadline=45)
    assert first.metric("claim_to_begin_seconds_count") == 1
    scene.until_phase("Running")
    assert first.stop() == 0
    second = start_operator()
    second.until_leading()
    (tmp_path / "go").touch()
    scene.tell_end(pod, process.wait(20))
    scene.until_phase("Succeeded")
    assert second.metric("attempts_ended_total") == 1
    assert second.metric("claim_to_begin_seconds_count") == second.metric("claim_to_first_step_seconds_count") == 0
