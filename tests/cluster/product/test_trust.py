"""A store that has lost a run is not trusted with it: nothing runs again unless a person says so."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.harness.argocd import health
from tests.harness.eventually import eventually
from tests.harness.kstatus import kstatus

from . import workflows
from .installation import Installation
from .stage import HELD, Stage

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def stage(perdure: Installation) -> Iterator[Stage]:
    """Runs whose rows are taken out of the shared store."""
    with Stage.on(perdure) as stage:
        stage.start("forgotten", HELD)
        stage.start("given-up", HELD)
        yield stage


def forget(stage: Stage, uid: str) -> None:
    """Have the store know nothing of a run."""
    rows = stage.installation.store.rows
    rows("DELETE FROM perdure.processes WHERE claim = (SELECT claim FROM perdure.runs WHERE id = %s)", uid)
    rows("DELETE FROM perdure.attempts WHERE run_id = %s", uid)
    rows("DELETE FROM perdure.steps WHERE run_id = %s", uid)
    rows("DELETE FROM perdure.runs WHERE id = %s", uid)


def test_a_run_that_its_store_has_forgotten_starts_again_only_when_a_person_says_so(stage: Stage) -> None:
    uid = stage.uid("forgotten")
    stage.until_held("forgotten")
    stage.until_reason("forgotten", "Running")
    (pod,) = stage.pods("forgotten")
    forget(stage, uid)
    eventually(lambda: stage.pods("forgotten")[0]["status"]["phase"] == "Failed", 60, every=0.3)  # its claim is void
    status = stage.until_reason("forgotten", "CheckpointsMissing", 60)
    body = stage.get("forgotten")
    message = workflows.condition(body, "Stalled")["message"]
    assert "is missing from the store" in message
    assert "perdure.io/restart" in message
    assert status["phase"] == "Stalled"
    assert (kstatus(body), health(body)[0]) == ("Failed", "Degraded")
    time.sleep(3)
    assert [one["metadata"]["uid"] for one in stage.pods("forgotten")] == [pod["metadata"]["uid"]]
    assert stage.installation.store.run(uid) is None

    stage.annotate("forgotten", restart="yes")
    stage.until_reason("forgotten", "Running")
    stage.until_held("forgotten")
    stage.release("forgotten")
    assert stage.until_finished("forgotten")["result"] == ["before", "held", "after"]
    assert stage.keys(uid) == ["before", "held", "after"]


def test_a_run_that_its_store_has_forgotten_can_be_given_up(stage: Stage) -> None:
    uid = stage.uid("given-up")
    stage.until_held("given-up")
    stage.until_reason("given-up", "Running")
    forget(stage, uid)
    stage.until_reason("given-up", "CheckpointsMissing", 60)
    stage.change("given-up", cancel=True)
    assert stage.until_finished("given-up", 30)["phase"] == "Cancelled"
    assert stage.installation.store.run(uid) is None
