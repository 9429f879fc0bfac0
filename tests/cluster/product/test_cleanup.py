"""A cancelled Workflow whose code cleans up does so in its pods, whatever becomes of them, and ends as cancelled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster import pods
from tests.cluster.api import Json
from tests.harness.eventually import eventually

from . import pod_faults, workflows
from .installation import Installation
from .stage import PATIENCE, Stage

pytestmark = pytest.mark.timeout(300)

SAGA = """
import asyncio
from pathlib import Path
from perdure import step, workflow

@step
async def reserve():
    return "seat 12"

@step
async def charge():
    await asyncio.sleep(3600)

@step
async def refund():
    return "nothing"

@step
async def release(seat):
    while not Path("/tmp/go").exists():
        await asyncio.sleep(0.05)
    return seat

@workflow(cleanup=200)
async def flow():
    seat = await reserve()
    try:
        await charge()
    finally:
        await refund()
        await release(seat)
"""

TOLD = ["reserve", "perdure.cancel", "charge", "refund"]
"""What is stored once it has been told and cleans up."""


@pytest.fixture(scope="module")
def stage(perdure: Installation) -> Iterator[Stage]:
    with Stage.on(perdure) as stage:
        for name in ("cleans", "killed", "now"):
            stage.start(name, SAGA)
        yield stage


def until_it_cleans_up(stage: Stage, name: str) -> str:
    """Cancel a Workflow in its second step, and wait until it is in the last one of its cleanup; its UID."""
    uid = stage.uid(name)
    eventually(lambda: stage.keys(uid) == ["reserve"], PATIENCE, every=0.3)
    stage.change(name, cancel=True)
    eventually(lambda: sorted(stage.keys(uid)) == sorted(TOLD), PATIENCE, every=0.3)
    stage.until_reason(name, "Cancelling", 20)
    return uid


def running_pod(stage: Stage, name: str, attempt: int) -> Json:
    """The pod of an attempt, once its container runs."""

    def running() -> Json | None:
        pod = stage.until_pod(name, attempt)
        return pod if pod["status"]["phase"] == "Running" else None

    found = eventually(running, PATIENCE, every=0.2)
    assert found is not None
    return found


def release(stage: Stage, name: str, attempt: int) -> None:
    """Let the step in which the cleanup waits go on."""
    pod = running_pod(stage, name, attempt)["metadata"]["name"]
    pods.run_in(stage.cluster, stage.namespace, pod, ["touch", "/tmp/go"], container="workflow")


def test_what_the_code_does_in_finally_is_done_in_its_pod(stage: Stage) -> None:
    uid = until_it_cleans_up(stage, "cleans")
    release(stage, "cleans", 1)
    status = stage.until_finished("cleans")
    assert (status["phase"], status["attempts"]) == ("Cancelled", 1)
    assert workflows.condition({"status": status}, "Finished")["reason"] == "Cancelled"
    assert "error" not in status
    assert [(row["step_key"], row["result"]) for row in stage.installation.store.steps(uid)][-2:] == [
        ("refund", "nothing"),
        ("release", "seat 12"),
    ]
    assert stage.endings(uid) == ["completed"]


def test_a_cleanup_whose_process_dies_goes_on_in_another_pod(stage: Stage) -> None:
    uid = until_it_cleans_up(stage, "killed")
    pod_faults.kill_user_process(stage.cluster, running_pod(stage, "killed", 1))
    release(stage, "killed", 2)
    status = stage.until_finished("killed")
    assert (status["phase"], status["attempts"]) == ("Cancelled", 2)
    by = {row["step_key"]: row["attempt"] for row in stage.installation.store.steps(uid)}
    assert by == {**dict.fromkeys(TOLD, 1), "release": 2}
    assert stage.endings(uid) == ["crashed", "completed"]


def test_a_workflow_that_is_deleted_meanwhile_cleans_nothing_up(stage: Stage) -> None:
    uid = until_it_cleans_up(stage, "now")
    stage.delete("now")
    eventually(lambda: stage.gone("now"), 60, every=0.3)
    eventually(lambda: (stage.installation.store.run(uid) or {}).get("state") == "cancelled", 30, every=0.3)
    assert sorted(stage.keys(uid)) == sorted(TOLD)
