"""Pods as the API server shows them, in every state that decides something."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure_operator.api.pod_view import parse_pod
from perdure_operator.decide.observed import ContainerEnd, Pod, PodPhase, Stage

CLAIM = UUID("11111111-2222-4333-8444-555555555555")


def at(minute: int) -> datetime:
    return datetime(2026, 3, 1, 12, minute, tzinfo=UTC)


def time(minute: int) -> str:
    return f"2026-03-01T12:{minute:02}:00Z"


def container(name: str = "workflow", **state: Any) -> dict[str, Any]:
    return {"name": name, "state": state}


def waiting(reason: str, message: str = "", name: str = "workflow") -> dict[str, Any]:
    return container(name, waiting={"reason": reason, "message": message})


def ended(code: int, reason: str = "Error", message: str = "", name: str = "workflow") -> dict[str, Any]:
    return container(name, terminated={"exitCode": code, "reason": reason, "message": message, "finishedAt": time(7)})


RUNNING = container(running={"startedAt": time(5)})


def condition(type: str, status: str, reason: str = "", message: str = "", minute: int = 1) -> dict[str, Any]:
    said = {"type": type, "status": status, "lastTransitionTime": time(minute)}
    return said | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def pod(phase: str | None = "Running", *containers: Any, init: Any = None, conditions: Any = (), **parts: Any) -> Pod:
    status = {
        "phase": phase,
        "containerStatuses": list(containers),
        "initContainerStatuses": init,
        "conditions": list(conditions),
        **parts.pop("status", {}),
    }
    metadata = {
        "name": "w-5f0c2f6e-2",
        "uid": "u",
        "creationTimestamp": time(0),
        "labels": {"perdure.io/attempt": "2"},
        "annotations": {"perdure.io/generation": "3"},
        **parts.pop("metadata", {}),
    }
    env = [{"name": "A"}, {"name": "PERDURE_CLAIM", "value": str(CLAIM)}]
    spec = {"nodeName": "node-1", "containers": [{"name": "x"}, {"name": "workflow", "env": env}]}
    return parse_pod({"metadata": metadata, "spec": spec, "status": {key: one for key, one in status.items() if one}})


def test_a_pod_that_was_just_created():
    seen = pod(None)
    assert seen == Pod(
        name="w-5f0c2f6e-2",
        uid="u",
        attempt=2,
        claim=seen.claim,
        phase=PodPhase.PENDING,
        created=at(0),
        node="node-1",
        stage=Stage.BOUND,
        generation=3,
    )
    assert seen.claim == CLAIM


def test_a_pod_that_runs():
    seen = pod("Running", RUNNING, conditions=[condition("PodScheduled", "True"), condition("Ready", "True", minute=6)])
    assert (seen.phase, seen.waiting, seen.end, seen.disrupted) == (PodPhase.RUNNING, None, None, None)
    assert seen.progressed == at(5)
    assert not seen.over


def test_the_image_that_a_pod_runs():
    assert pod("Pending", waiting("ContainerCreating") | {"imageID": ""}).image_id is None
    assert pod("Running", RUNNING | {"imageID": "a/b@sha256:1"}).image_id == "a/b@sha256:1"


def test_how_near_a_pod_is_to_its_start():
    bound = condition("PodScheduled", "True")
    unbound = {"metadata": {}, "spec": {"containers": []}, "status": {"phase": "Pending"}}
    assert parse_pod(unbound).stage is Stage.UNBOUND
    assert pod("Pending", conditions=[bound]).stage is Stage.BOUND
    assert pod("Pending", conditions=[bound], status={"startTime": time(1)}).stage is Stage.TAKEN
    assert pod("Pending", waiting("ContainerCreating"), conditions=[bound]).stage is Stage.TAKEN
    sidecar = container("proxy", running={"startedAt": time(2)})
    assert pod("Running", sidecar, waiting("ContainerCreating")).stage is Stage.TAKEN
    assert pod("Running", RUNNING).stage is pod("Failed", ended(1)).stage is Stage.STARTED


def test_a_pod_that_is_deleted():
    assert pod(metadata={"deletionTimestamp": time(3)}).deleting


@pytest.mark.parametrize(
    "reason",
    [
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    ],
)
def test_what_keeps_a_container_from_starting(reason):
    assert pod("Pending", waiting(reason, "no such image")).waiting == (reason, "no such image")
    init = [ended(0, name="first"), waiting(reason, "no such image", "second")]
    assert pod("Pending", waiting("PodInitializing"), init=init).waiting == (reason, "no such image")


def test_an_image_that_runs_as_root_comes_with_advice():
    said = "container has runAsNonRoot and image will run as root (pod: ...)"
    seen = pod("Pending", waiting("CreateContainerConfigError", said))
    assert seen.waiting is not None
    assert seen.waiting[1].startswith(f"{said}; let the image have a numeric user other than root")


def test_a_container_on_its_way_is_no_matter():
    scheduled = condition("PodScheduled", "True", minute=2)
    seen = pod("Pending", waiting("ContainerCreating"), conditions=[scheduled])
    assert (seen.waiting, seen.progressed) == (None, at(2))


def test_init_containers_that_run():
    unready = condition(
        "Initialized", "False", "ContainersNotInitialized", "containers with incomplete status: [first]"
    )
    init = [container("first", running={"startedAt": time(2)})]
    seen = pod("Pending", waiting("PodInitializing"), init=init, conditions=[unready])
    assert seen.waiting == ("PodInitializing", "containers with incomplete status: [first]")


def test_after_its_init_containers_a_pod_is_on_its_way():
    done = condition("Initialized", "True", minute=4)
    seen = pod("Pending", waiting("PodInitializing"), init=[ended(0, name="first")], conditions=[done])
    assert (seen.waiting, seen.progressed) == (None, at(4))


@pytest.mark.parametrize("reason", ["Unschedulable", "SchedulingGated"])
def test_a_pod_without_a_node(reason):
    seen = pod("Pending", conditions=[condition("PodScheduled", "False", reason, "0/2 nodes are available")])
    assert seen.waiting == (reason, "0/2 nodes are available")


def test_other_containers_are_no_matter():
    seen = pod("Running", waiting("ImagePullBackOff", name="metrics"), RUNNING)
    assert (seen.waiting, seen.end) == (None, None)
    seen = pod("Running", container("metrics", running={}), ended(0, "Completed"))
    assert seen.end == ContainerEnd(0, "Completed")
    assert seen.finished_at == at(7)
    assert not seen.over


@pytest.mark.parametrize(("code", "reason"), [(0, "Completed"), (1, "Error"), (137, "OOMKilled"), (143, "Error")])
def test_how_the_container_ended(code, reason):
    seen = pod("Failed" if code else "Succeeded", ended(code, reason, " last words\n"))
    assert seen.end == ContainerEnd(code, reason, "last words")
    assert (seen.finished_at, seen.over, seen.waiting) == (at(7), True, None)


def test_an_init_container_that_failed():
    init = [ended(0, "Completed", name="first"), ended(3, "Error", "no disk", "second")]
    seen = pod("Failed", waiting("PodInitializing"), init=init)
    assert seen.end == ContainerEnd(3, "Error", "init container 'second': no disk")
    assert seen.finished_at == at(7)


@pytest.mark.parametrize(
    "reason",
    [
        "PreemptionByScheduler",
        "DeletionByTaintManager",
        "EvictionByEvictionAPI",
        "DeletionByPodGC",
        "TerminationByKubelet",
    ],
)
def test_disruptions(reason):
    target = condition("DisruptionTarget", "True", reason, "why")
    assert pod("Running", RUNNING, conditions=[target]).disrupted == f"{reason}: why"
    assert pod("Running", RUNNING, conditions=[target | {"status": "False"}]).disrupted is None


@pytest.mark.parametrize("reason", ["Evicted", "Preempting", "NodeLost", "Terminated", "OutOfcpu", "NodeAffinity"])
def test_pods_that_the_node_ends_or_does_not_take(reason):
    seen = pod("Failed", status={"reason": reason, "message": "low on memory"})
    assert seen.disrupted == f"{reason}: low on memory"
    assert seen.end is None


def test_a_failed_pod_of_which_no_more_is_known_ended_at_its_last_change():
    seen = pod("Failed", conditions=[condition("PodScheduled", "True"), condition("Ready", "False", minute=9)])
    assert seen.finished_at == at(9)
    assert pod("Running", conditions=[condition("Ready", "False", minute=9)]).finished_at is None


def test_a_restarted_sidecar_is_no_end():
    assert pod("Running", {"name": "workflow", "state": {"running": {}}, "lastState": {"terminated": {}}}).end is None


@pytest.mark.parametrize("label", ["", "x", "-1", "٣", "9" * 30])
def test_a_label_that_somebody_changed(label):
    assert pod(metadata={"labels": {"perdure.io/attempt": label}, "annotations": None}).attempt == 0


KEYS = st.sampled_from(
    [
        *("metadata", "spec", "status", "phase", "conditions", "containerStatuses", "initContainerStatuses", "state"),
        *("name", "env", "waiting", "terminated", "running", "reason", "message", "type", "labels", "containers"),
        *("exitCode", "finishedAt"),
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["workflow", "Failed", "True", "DisruptionTarget", "x"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS, children, max_size=5),
    max_leaves=20,
)


@given(status=JSON, spec=JSON, metadata=JSON)
def test_total(status, spec, metadata):
    assert isinstance(parse_pod({"status": status, "spec": spec, "metadata": metadata}), Pod)


@given(statuses=JSON, conditions=JSON, phase=JSON)
def test_total_in_depth(statuses, conditions, phase):
    inits = {"initContainerStatuses": statuses, "containerStatuses": statuses}
    assert isinstance(parse_pod({"status": {**inits, "conditions": conditions, "phase": phase}}), Pod)
