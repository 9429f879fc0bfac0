"""What a person or a limit asks of a run is done, and kubectl tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.cluster.api import ApiException, Json
from tests.harness.eventually import eventually

from . import workflows
from .installation import Installation
from .stage import CRASHING, FAILING, HELD, QUICK, Stage

pytestmark = pytest.mark.timeout(300)

STUBBORN = """
import time
from perdure import step, workflow

@step
def before():
    return "before"

@workflow
def flow():
    before()
    while True:
        try:
            time.sleep(0.1)
        except BaseException:
            pass
"""

CRASHING_ONCE = """
import os, signal
from perdure import step, step_context, workflow

@step
def first():
    return 1

@step
def second():
    if step_context().attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2

@workflow
def flow() -> list[int]:
    return [first(), second()]
"""

NOWHERE = {"spec": {"nodeSelector": {"kubernetes.io/hostname": "nowhere"}}}

GOING: dict[str, tuple[str | None, Json]] = {
    "Running": (HELD, {}),
    "Unschedulable": (QUICK, {"podTemplate": NOWHERE}),
    "ImagePullFailed": (QUICK, {"image": "perdure.test/missing:1"}),
    "PodRefused": (QUICK, {"podTemplate": {"spec": {"priorityClassName": "nobody-has-it"}}}),
    "BackingOff": (CRASHING, {"backoffLimit": 100}),
    "Suspended": (QUICK, {"suspend": True}),
    "SourceMissing": (None, {"source": {"configMap": {"name": "missing"}}}),
    "Succeeded": (QUICK, {}),
    "Failed": (FAILING, {}),
}
"""Of which each is deleted once its status gives this reason."""


@pytest.fixture(scope="module")
def stage(perdure: Installation) -> Iterator[Stage]:
    """Everything that these tests run, started at once."""
    with Stage.on(perdure) as stage:
        for name in ("to-suspend", "to-cancel", "waited-for", "too-late", "fixed"):
            stage.start(name, HELD)
        stage.start("asleep", HELD, suspend=True)
        stage.start("stubborn", STUBBORN, podTemplate={"spec": {"terminationGracePeriodSeconds": 4}})
        stage.start("crashing", CRASHING, backoffLimit=1)
        stage.start("crashing-once", CRASHING_ONCE)
        stage.start("quick")
        stage.start("failing", FAILING)
        for reason, (code, spec) in GOING.items():
            stage.start(f"going-{reason.lower()}", code or "", **spec)
        yield stage


def test_kubectl_waits_for_every_ending(stage: Stage) -> None:
    wait = ("wait", "--for=condition=Finished", "--timeout=120s", "dwf/quick", "dwf/failing", "dwf/waited-for")
    with stage.kubectl_meanwhile(*wait) as waiting:
        stage.until_held("waited-for")
        stage.change("waited-for", cancel=True)
        printed, _ = waiting.communicate(timeout=100)
        assert waiting.returncode == 0
    assert printed.count("condition met") == 3
    phases = {name: stage.get(name)["status"]["phase"] for name in ("quick", "failing", "waited-for")}
    assert phases == {"quick": "Succeeded", "failing": "Failed", "waited-for": "Cancelled"}


def test_a_cancelled_run_ends_in_the_middle_of_its_step(stage: Stage) -> None:
    stage.until_held("to-cancel")
    stage.change("to-cancel", cancel=True)
    status = stage.until_reason("to-cancel", "Cancelled")
    uid = stage.uid("to-cancel")
    assert "result" not in status
    assert stage.endings(uid) == ["completed"]
    assert "after" not in stage.keys(uid)
    with pytest.raises(ApiException) as error:
        stage.change("to-cancel", cancel=False)
    assert "cancel cannot be taken back; to run it again, create a new Workflow" in str(error.value.body)


def test_a_run_whose_code_ignores_its_cancellation_is_ended_with_its_pod(stage: Stage) -> None:
    uid = stage.uid("stubborn")
    eventually(lambda: stage.keys(uid) == ["before"], 90, every=0.3)
    stage.change("stubborn", cancel=True)
    stage.until_reason("stubborn", "Cancelling", 20)
    status = stage.until_finished("stubborn", 40)
    assert status["phase"] == "Cancelled"
    assert status["attempts"] == 1
    row = stage.installation.store.run(uid)
    assert row is not None
    assert (row["state"], row["claim"]) == ("cancelled", None)


def test_a_suspended_run_ends_its_pod_after_the_step_in_flight_and_goes_on_from_there(stage: Stage) -> None:
    uid = stage.uid("to-suspend")
    stage.until_held("to-suspend")
    stage.change("to-suspend", suspend=True)
    assert stage.until_reason("to-suspend", "Suspending", 20)["phase"] == "Running"
    until_heard(stage, uid)
    stage.release("to-suspend")
    status = stage.until_reason("to-suspend", "Suspended", 30)
    assert {one["type"]: one["status"] for one in status["conditions"]} == {"Finished": "False", "Succeeded": "Unknown"}
    assert stage.keys(uid) == ["before", "held"]
    eventually(lambda: not any(p["status"]["phase"] == "Running" for p in stage.pods("to-suspend")), 30, every=0.2)
    assert len(stage.pods("to-suspend")) == 1

    stage.change("to-suspend", suspend=False)
    assert stage.until_finished("to-suspend")["result"] == ["before", "held", "after"]
    assert [row["attempt"] for row in stage.installation.store.steps(uid)] == [1, 1, 2]
    assert stage.endings(uid) == ["released", "completed"]
    story = events(stage, "to-suspend")
    assert [one for one in story if one in ("Suspended", "Resuming", "Succeeded")] == [
        "Suspended",
        "Resuming",
        "Succeeded",
    ]


def until_heard(stage: Stage, uid: str) -> None:
    """Wait until the process of a run has heard what was asked of the run: the answer to a heartbeat tells it."""

    def heartbeats() -> int:
        query = "SELECT p.counter FROM perdure.processes p JOIN perdure.runs r ON p.claim = r.claim WHERE r.id = %s"
        return int(stage.installation.store.rows(query, uid)[0]["counter"])

    before = heartbeats()
    # One may have been under way; whoever sends the next has heard the answer to it.
    eventually(lambda: heartbeats() >= before + 2, 30, every=0.3)


def test_a_run_that_sleeps_from_the_start_has_no_pod_and_can_be_cancelled(stage: Stage) -> None:
    stage.until_reason("asleep", "Suspended")
    stage.change("asleep", cancel=True)
    status = stage.until_finished("asleep", 20)
    assert status["phase"] == "Cancelled"
    assert status.get("attempts", 0) == 0
    assert stage.pods("asleep") == []


def test_a_deadline_that_is_set_later_ends_the_run(stage: Stage) -> None:
    stage.until_held("too-late")
    stage.change("too-late", activeDeadlineSeconds=1)
    status = stage.until_finished("too-late", 60)
    assert workflows.condition({"status": status}, "Finished")["reason"] == "DeadlineExceeded"
    assert status["phase"] == "Failed"
    assert status["error"]["type"] == "perdure.errors:DeadlineExceeded"


def test_a_run_that_crashes_too_often_is_given_up(stage: Stage) -> None:
    status = stage.until_finished("crashing")
    finished = workflows.condition({"status": status}, "Finished")
    assert finished["reason"] == "BackoffLimitExceeded"
    assert "2 attempts" in finished["message"]
    assert "SIGKILL" in finished["message"]
    assert stage.endings(stage.uid("crashing")) == ["crashed", "crashed"]
    assert len(stage.pods("crashing")) == 2  # they stay for their logs


def test_what_a_run_started_with_cannot_be_changed(stage: Stage) -> None:
    new = "a run goes on with what it started with: create a new Workflow instead"
    for patch, words in (
        ('{"spec": {"entrypoint": "flow:other"}}', f"entrypoint cannot be changed; {new}"),
        ('{"spec": {"image": "other"}}', f"image cannot be changed, added or removed; {new}"),
        ('{"spec": {"input": {"name": "other"}}}', f"input cannot be changed, added or removed; {new}"),
        ('{"spec": {"source": null}}', f"source cannot be changed, added or removed; {new}"),
    ):
        assert words in stage.kubectl("patch", "dwf", "fixed", "--type=merge", f"--patch={patch}", succeeds=False)


def test_kubectl_shows_how_runs_stand(stage: Stage) -> None:
    stage.until_reason("crashing-once", "Succeeded")
    stage.until_reason("fixed", "Running")
    lines = stage.kubectl("get", "dwf", "crashing-once", "fixed").splitlines()
    assert lines[0].split() == ["NAME", "PHASE", "STEPS", "ATTEMPTS", "AGE"]
    assert lines[1].split()[:4] == ["crashing-once", "Succeeded", "2", "2"]
    name, phase, steps, attempts, _ = lines[2].split()
    assert (name, phase, attempts) == ("fixed", "Running", "1")
    assert steps in ("0", "1")  # the count of a run that goes on may be some time behind


def test_kubectl_describes_the_story_of_a_run(stage: Stage) -> None:
    stage.until_reason("crashing-once", "Succeeded")
    told = eventually(lambda: "Succeeded  " in (text := stage.kubectl("describe", "dwf", "crashing-once")) and text)
    assert told
    shown = re.findall(r"^  (?:Normal|Warning) +(\w+)", told.partition("\nEvents:")[2], re.MULTILINE)
    story = ["Started", "Crashed", "Resumed", "Succeeded"]
    assert sorted(shown) == sorted(story), told  # kubectl knows no order within a second
    assert events(stage, "crashing-once") == story
    assert "attempt 1 crashed: " in told
    assert "SIGKILL" in told


def test_a_finished_workflow_goes_after_its_time_to_live(stage: Stage) -> None:
    uid = stage.uid("quick")
    stage.until_finished("quick")
    stage.change("quick", ttlSecondsAfterFinished=1)
    eventually(lambda: stage.gone("quick"), 30, every=0.2)
    eventually(lambda: stage.pods("quick") == [], 45, every=0.2)
    row = stage.installation.store.run(uid)
    assert row is not None
    assert row["state"] == "succeeded"  # it stays in the store for as long as the operator is told


def test_a_workflow_can_be_deleted_in_every_phase(stage: Stage) -> None:
    names = {reason: f"going-{reason.lower()}" for reason in GOING}
    uids = {reason: stage.uid(name) for reason, name in names.items()}
    for reason, name in names.items():
        stage.until_reason(name, reason)
    for name in names.values():
        stage.delete(name)
    eventually(lambda: all(stage.gone(name) for name in names.values()), 20, every=0.2)
    eventually(lambda: not any(stage.pods(name) for name in names.values()), 60, every=0.2)
    eventually(lambda: all(at_rest(stage, uid) for uid in uids.values()), 30, every=0.3)
    states = {reason: (stage.installation.store.run(uid) or {}).get("state") for reason, uid in uids.items()}
    ended = {"Succeeded": "succeeded", "Failed": "failed", "SourceMissing": None}
    assert states == {reason: ended.get(reason, "cancelled") for reason in GOING}


def test_a_namespace_can_be_deleted_in_mid_run(perdure: Installation) -> None:
    with Stage.on(perdure) as stage:
        uid = stage.start("one", HELD)
        stage.until_held("one")
        stage.cluster.api.delete(f"/api/v1/namespaces/{stage.namespace}")

        def gone() -> bool:
            try:
                stage.cluster.api.get(f"/api/v1/namespaces/{stage.namespace}")
            except ApiException as error:
                return error.status == 404
            return False

        eventually(gone, 90, every=0.5)
        eventually(lambda: at_rest(stage, uid), 30, every=0.3)
        row = perdure.store.run(uid)
        assert row is not None
        assert row["state"] == "cancelled"
        begun = [attempt["attempt"] for attempt in perdure.store.attempts(uid) if attempt["begun"]]
        assert begun == [1]  # another may have been meant to follow, and got no pod


def at_rest(stage: Stage, uid: str) -> bool:
    """Whether nobody has the run any more, and nobody will."""
    row = stage.installation.store.run(uid)
    return row is None or (row["claim"] is None and row["state"] in ("succeeded", "failed", "cancelled"))


def events(stage: Stage, name: str) -> list[str]:
    """What was told about a Workflow, oldest first."""
    path = f"/api/v1/namespaces/{stage.namespace}/events"
    items = stage.cluster.api.get(path, fieldSelector=f"involvedObject.name={name}")["items"]
    return [event["reason"] for event in sorted(items, key=lambda event: int(event["metadata"]["resourceVersion"]))]
