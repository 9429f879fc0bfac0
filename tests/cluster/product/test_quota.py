"""A namespace whose quota refuses a run's pod: what it says is told, and the run goes on once there is room."""

from __future__ import annotations

from tests.cluster.api import Json
from tests.harness.eventually import eventually

from . import workflows
from .installation import Installation
from .stage import HELD, Stage


def quota(stage: Stage, **hard: str) -> None:
    """Allow so much in the namespace, from when this returns."""
    path = f"/api/v1/namespaces/{stage.namespace}/resourcequotas/small"
    body: Json = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": hard}}
    stage.cluster.api.apply(path, body)
    eventually(lambda: stage.cluster.api.get(path)["status"].get("hard") == hard, 30, every=0.1)


def test_a_quota_that_is_used_up_is_waited_for(perdure: Installation) -> None:
    with Stage.on(perdure) as stage:
        quota(stage, pods="1")
        stage.start("first", HELD)
        stage.until_held("first")
        uid = stage.start("second", HELD)
        status = stage.until_reason("second", "AtCapacity")
        finished = workflows.condition({"status": status}, "Finished")
        assert "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1" in finished["message"]
        assert status["phase"] == "Pending"
        assert workflows.condition({"status": status}, "Reconciling")["status"] == "True"
        assert stage.pods("second") == []

        quota(stage, pods="2")
        stage.until_held("second", 60)
        stage.release("second")
        assert stage.until_finished("second")["phase"] == "Succeeded"
        assert stage.endings(uid) == ["completed"]  # the wait was no crash


def test_what_a_quota_wants_to_be_told_is_a_persons_to_add(perdure: Installation) -> None:
    with Stage.on(perdure) as stage:
        quota(stage, **{"limits.cpu": "4"})
        uid = stage.start("one")
        status = stage.until_reason("one", "PodRefused")
        stalled = workflows.condition({"status": status}, "Stalled")
        assert "failed quota: small: must specify limits.cpu" in stalled["message"]
        assert "change podTemplate" in stalled["message"]
        limits = {"containers": [{"name": "workflow", "resources": {"limits": {"cpu": "1"}}}]}
        stage.change("one", podTemplate={"spec": limits})
        assert stage.until_finished("one", 20)["phase"] == "Succeeded"
        assert stage.endings(uid) == ["completed"]
