"""The status of every ending and every wait: for people, by the condition table, for kstatus and for Argo CD."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.cluster.api import Json
from tests.harness.argocd import health
from tests.harness.eventually import eventually
from tests.harness.kstatus import kstatus

from .installation import Installation
from .stage import CRASHING, FAILING, HELD, QUICK, Stage

pytestmark = pytest.mark.timeout(300)

LARGE = """
from perdure import workflow

@workflow
def flow() -> str:
    return "x" * 5000
"""

LONG = """
from perdure import run_step, workflow

@workflow
def flow() -> int:
    return sum(run_step("step-" + "x" * 100, lambda: 1) for _ in range(500))
"""

GOING = {"Finished": "False", "Succeeded": "Unknown", "Reconciling": "True"}
RESTING = {"Finished": "False", "Succeeded": "Unknown"}
STALLED = {"Finished": "False", "Succeeded": "Unknown", "Stalled": "True"}
SUCCEEDED = {"Finished": "True", "Succeeded": "True"}
FAILED = {"Finished": "True", "Succeeded": "False", "Stalled": "True"}

READ = {
    "going": (GOING, "InProgress", "Progressing"),
    "resting": (RESTING, "Current", "Suspended"),
    "stalled": (STALLED, "Failed", "Degraded"),
    "succeeded": (SUCCEEDED, "Current", "Healthy"),
    "failed": (FAILED, "Failed", "Degraded"),
}
"""By situation: the conditions, and what kstatus and Argo CD make of them."""


@dataclass(frozen=True)
class Case:
    """A Workflow, and where it comes to stand; `says` is in the message of its conditions."""

    situation: str
    phase: str
    reason: str
    says: str
    code: str = QUICK
    spec: Json = field(default_factory=dict)


def template(**spec: Any) -> Json:
    return {"podTemplate": {"spec": spec}}


def container(**fields: Any) -> Json:
    return template(containers=[{"name": "workflow", **fields}])


CASES = {
    "succeeds": Case("succeeded", "Succeeded", "Succeeded", "succeeded after 1 step"),
    "fails": Case("failed", "Failed", "Failed", "ValueError: no such account", FAILING),
    "is-cancelled": Case("failed", "Cancelled", "Cancelled", "nothing of it to run", spec={"cancel": True}),
    "is-late": Case("failed", "Failed", "DeadlineExceeded", "deadline", HELD, {"activeDeadlineSeconds": 1}),
    "crashes": Case("failed", "Failed", "BackoffLimitExceeded", "SIGKILL", CRASHING, {"backoffLimit": 0}),
    "has-bad-input": Case("failed", "Failed", "InvalidInput", "nobody", spec={"input": {"nobody": 1}}),
    "has-no-function": Case("failed", "Failed", "InvalidEntrypoint", "nothing", spec={"entrypoint": "flow:nothing"}),
    "runs": Case("going", "Running", "Running", "attempt 1 runs in pod runs-", HELD),
    "backs-off": Case("going", "BackingOff", "BackingOff", "the next one starts", CRASHING, {"backoffLimit": 100}),
    "fits-nowhere": Case(
        "going", "Pending", "Unschedulable", "no node takes pod", spec=template(nodeSelector={"is": "nowhere"})
    ),
    "sleeps": Case("resting", "Suspended", "Suspended", "set spec.suspend to false to go on", spec={"suspend": True}),
    "has-no-image": Case(
        "stalled", "Stalled", "ImagePullFailed", "cannot be pulled", spec={"image": "perdure.test/missing:1"}
    ),
    "has-no-code": Case(
        "stalled",
        "Stalled",
        "SourceMissing",
        "there is no ConfigMap 'missing'",
        spec={"source": {"configMap": {"name": "missing"}}},
    ),
    "is-refused": Case(
        "stalled",
        "Stalled",
        "PodRefused",
        'violates PodSecurity "restricted',
        spec=container(securityContext={"allowPrivilegeEscalation": True}),
    ),
    "has-no-secret": Case(
        "stalled",
        "Stalled",
        "PodRefused",
        'secret "missing" not found',
        spec=container(envFrom=[{"secretRef": {"name": "missing"}}]),
    ),
}


@pytest.fixture(scope="module")
def stage(perdure: Installation) -> Iterator[Stage]:
    """All of them, started at once."""
    with Stage.on(perdure) as stage:
        for name, case in CASES.items():
            stage.start(name, case.code, **case.spec)
        stage.start("large", LARGE)
        stage.start("long", LONG)
        yield stage


@pytest.mark.parametrize("name", CASES)
def test_every_ending_and_every_wait_is_told(stage: Stage, name: str) -> None:
    case = CASES[name]
    stage.until_reason(name, case.reason, 150)
    body = stage.get(name)
    status, generation = body["status"], body["metadata"]["generation"]
    conditions, kind, argo = READ[case.situation]
    assert {one["type"]: one["status"] for one in status["conditions"]} == conditions
    assert {one["reason"] for one in status["conditions"]} == {case.reason}
    assert {one["observedGeneration"] for one in status["conditions"]} == {status["observedGeneration"]} == {generation}
    assert status["phase"] == case.phase
    for one in status["conditions"]:
        assert case.says in one["message"], one
    assert kstatus(body) == kind
    assert health(body) == (argo, f"{case.reason}: {status['conditions'][0]['message']}")
    assert ("completionTime" in status) is (conditions["Finished"] == "True")
    assert ("result" in status) is (name == "succeeds")


def test_an_error_is_told_without_its_traceback(stage: Stage) -> None:
    status = stage.until_finished("fails")
    assert status["error"] == {"type": "builtins:ValueError", "message": "no such account"}


def test_a_change_is_seen_and_said_to_be_seen(stage: Stage) -> None:
    stage.until_reason("succeeds", "Succeeded")
    stage.change("succeeds", backoffLimit=7)

    def seen() -> Json:
        body = stage.get("succeeds")
        assert body["metadata"]["generation"] == body["status"]["observedGeneration"] == 2, body
        return body

    body = eventually(seen, 20, every=0.2)
    assert kstatus(body) == "Current"
    assert health(body)[0] == "Healthy"


def test_a_large_result_is_read_elsewhere(stage: Stage) -> None:
    assert stage.until_finished("large")["result"] == (
        "the result is in the store (5002 bytes): `perdure show` prints it"
    )


def test_the_object_stays_small_however_many_steps_there_are(stage: Stage) -> None:
    status = stage.until_finished("long", 150)
    assert status["steps"] == {"completed": 500}
    body = stage.get("long")
    assert len(json.dumps(body)) < 8_000, body


def test_one_field_manager_writes_the_status(stage: Stage) -> None:
    stage.until_finished("long", 150)
    managers = [one for one in stage.get("long")["metadata"]["managedFields"] if one.get("subresource") == "status"]
    assert [(one["manager"], one["operation"]) for one in managers] == [("perdure", "Apply")]
