"""What a podTemplate gives is what a run's process finds; and what it finds where a podTemplate gives nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.api import Json
from tests.harness.eventually import eventually

from . import workflows
from .installation import Installation
from .postgres import LOCKED
from .stage import HELD, QUICK, Stage

pytestmark = pytest.mark.timeout(300)

LOOKING = """
import os
from pathlib import Path
from perdure import workflow

TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

def writable(folder):
    try:
        (Path(folder) / "probe").write_text("")
    except OSError:
        return False
    return True

@workflow
def flow() -> dict[str, object]:
    return {
        "user": [os.getuid(), os.getgid()],
        "groups": os.getgroups(),
        "token": TOKEN.exists(),
        "root": writable("/"),
        "tmp": writable("/tmp"),
        "services": [name for name in os.environ if name.endswith("_SERVICE_HOST")],
        "ours": sorted(name for name in os.environ if name.startswith("PERDURE_")),
        "env": {name: value for name, value in os.environ.items() if name.startswith("TEST_")},
        "files": {str(path): path.read_text() for path in Path("/given").glob("*/*") if path.is_file()},
    }
"""

# Neither the claim nor the URL of the store: no program that a step starts is to have them.
OURS = [
    # Empty where nothing is to be said by it, so that no `envFrom` of a template says it.
    "PERDURE_DATABASE_SSLCERT",
    "PERDURE_DATABASE_SSLKEY",
    "PERDURE_DATABASE_SSLMODE",
    "PERDURE_DATABASE_SSLROOTCERT",
    "PERDURE_GRACE_SECONDS",
    "PERDURE_LEASE_SECONDS",
    "PERDURE_NODE_NAME",
    "PERDURE_PARENT",
    "PERDURE_PATIENCE_SECONDS",
    "PERDURE_POD_NAME",
    "PERDURE_RUN_ID",
]


@pytest.fixture(scope="module")
def stage(perdure: Installation) -> Iterator[Stage]:
    """Everything that these tests run, started at once."""
    with Stage.on(perdure) as stage:
        api, core = stage.cluster.api, f"/api/v1/namespaces/{stage.namespace}"
        named = {"metadata": {"name": "given"}}
        api.create(f"{core}/secrets", {**named, "stringData": {"TEST_SECRET": "s3cret"}})
        api.create(f"{core}/configmaps", {**named, "data": {"TEST_MAP": "from a map", "file": "from a file"}})
        api.create(f"{core}/serviceaccounts", named)
        image = perdure.image.name
        stage.start("plain", LOOKING)
        stage.start("full", LOOKING, podTemplate=full(image))
        stage.start("beside", QUICK, podTemplate=beside(image))
        stage.start("picky", QUICK, podTemplate=template(nodeSelector={"kubernetes.io/hostname": "nowhere"}))
        stage.start("refused", QUICK, podTemplate=template(priorityClassName="nobody-has-it"))
        late = template(containers=[{"name": "workflow", "envFrom": [{"secretRef": {"name": "late"}}]}])
        stage.start("early", QUICK, podTemplate=late)
        stage.start("second", HELD)
        yield stage


def template(**spec: Any) -> Json:
    return {"spec": spec}


def full(image: str) -> Json:
    """Of everything something."""
    write = "import pathlib; pathlib.Path('/given/made/file').write_text('from an init container')"
    made = {"name": "made", "mountPath": "/given/made"}
    return {
        "metadata": {"labels": {"team": "shop"}, "annotations": {"example.com/why": "a test"}},
        "spec": {
            "serviceAccountName": "given",
            "automountServiceAccountToken": True,
            "securityContext": {"runAsUser": 12345, "runAsGroup": 12345, "fsGroup": 2000},
            "terminationGracePeriodSeconds": 7,
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [
                {
                    "name": "make",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python3", "-c", write],
                    "securityContext": LOCKED,
                    "volumeMounts": [made],
                }
            ],
            "containers": [
                {
                    "name": "workflow",
                    "env": [
                        {"name": "TEST_PLAIN", "value": "plain, of $(PERDURE_POD_NAME)"},
                        {"name": "TEST_KEY", "valueFrom": {"secretKeyRef": {"name": "given", "key": "TEST_SECRET"}}},
                    ],
                    "envFrom": [{"secretRef": {"name": "given"}}, {"configMapRef": {"name": "given"}}],
                    "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
                    "volumeMounts": [made, {"name": "map", "mountPath": "/given/map"}],
                }
            ],
            "volumes": [{"name": "made", "emptyDir": {}}, {"name": "map", "configMap": {"name": "given"}}],
        },
    }


def beside(image: str) -> Json:
    """Two containers that never end, one of them a sidecar."""
    endless: Json = {
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "securityContext": LOCKED,
    }
    return {
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "initContainers": [{"name": "sidecar", "restartPolicy": "Always", **endless}],
            "containers": [{"name": "other", **endless}],
        }
    }


def test_a_pod_is_given_no_more_than_its_run_needs(stage: Stage) -> None:
    seen = stage.until_finished("plain")["result"]
    assert seen["user"] == [10001, 10001]
    assert seen["token"] is False
    assert (seen["root"], seen["tmp"]) == (False, True)
    assert seen["services"] == ["KUBERNETES_SERVICE_HOST"]  # which every pod has
    assert seen["ours"] == OURS
    (pod,) = stage.pods("plain")
    spec, (container,) = pod["spec"], pod["spec"]["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert [volume["name"] for volume in spec["volumes"]] == ["perdure-tmp"]
    assert container["securityContext"] == LOCKED
    claims = [variable for variable in container["env"] if variable["name"] == "PERDURE_DATABASE_URL"]
    assert claims == [
        {
            "name": "PERDURE_DATABASE_URL",
            "valueFrom": {"secretKeyRef": {"name": "perdure-pod-database", "key": "url"}},
        }
    ]


def test_what_a_template_gives_is_there(stage: Stage) -> None:
    seen = stage.until_finished("full")["result"]
    (pod,) = stage.pods("full")
    assert seen["env"] == {
        "TEST_PLAIN": f"plain, of {pod['metadata']['name']}",
        "TEST_KEY": "s3cret",
        "TEST_SECRET": "s3cret",
        "TEST_MAP": "from a map",
    }
    assert seen["files"]["/given/made/file"] == "from an init container"
    assert seen["files"]["/given/map/file"] == "from a file"
    assert seen["user"] == [12345, 12345]
    assert 2000 in seen["groups"]
    assert seen["token"] is True
    assert seen["ours"] == OURS
    metadata, spec = pod["metadata"], pod["spec"]
    assert (metadata["labels"]["team"], metadata["annotations"]["example.com/why"]) == ("shop", "a test")
    assert metadata["labels"]["perdure.io/workflow"] == "full"
    assert spec["serviceAccountName"] == "given"
    assert spec["terminationGracePeriodSeconds"] == 7
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["containers"][0]["resources"] == {
        "requests": {"cpu": "20m", "memory": "64Mi"},
        "limits": {"memory": "256Mi"},
    }
    assert spec["containers"][0]["securityContext"] == LOCKED


def test_a_run_ends_whatever_runs_beside_it_and_then_that_ends_too(stage: Stage) -> None:
    status = stage.until_finished("beside")
    assert status["phase"] == "Succeeded"
    assert status["attempts"] == 1
    eventually(lambda: all(pod["status"]["phase"] != "Running" for pod in stage.pods("beside")), 60, every=0.5)


def test_a_pod_goes_where_the_template_lets_it(stage: Stage) -> None:
    node = stage.cluster.nodes[1]
    stage.until_reason("picky", "Unschedulable")
    there = {"kubernetes.io/hostname": node}
    with tainted(stage, node):
        stage.change("picky", podTemplate=template(nodeSelector=there))
        eventually(lambda: "untolerated taint" in message(stage, "picky"), 30, every=0.2)
        toleration = {"key": "example.com/reserved", "operator": "Exists", "effect": "NoSchedule"}
        stage.change("picky", podTemplate=template(nodeSelector=there, tolerations=[toleration]))
        status = stage.until_finished("picky")
    assert status["phase"] == "Succeeded"
    assert stage.pods("picky")[-1]["spec"]["nodeName"] == node
    assert set(stage.endings(stage.uid("picky"))) <= {"superseded", "completed"}  # none counts as a crash


def test_what_the_api_server_refuses_is_told_and_goes_on_once_it_is_changed(stage: Stage) -> None:
    stage.until_reason("refused", "PodRefused")
    assert "change podTemplate" in message(stage, "refused")
    assert "no PriorityClass with name nobody-has-it" in message(stage, "refused")
    assert stage.get("refused")["status"]["phase"] == "Stalled"
    stage.change("refused", podTemplate=None)
    assert stage.until_finished("refused")["phase"] == "Succeeded"
    assert stage.endings(stage.uid("refused")) == ["completed"]


def test_a_secret_that_is_not_there_yet_is_waited_for(stage: Stage) -> None:
    stage.until_reason("early", "PodRefused")
    assert 'secret "late" not found' in message(stage, "early")
    body = {"metadata": {"name": "late"}, "stringData": {"key": "value"}}
    stage.cluster.api.create(f"/api/v1/namespaces/{stage.namespace}/secrets", body)
    assert stage.until_finished("early")["phase"] == "Succeeded"
    assert stage.endings(stage.uid("early")) == ["completed"]


def test_a_changed_template_is_for_the_next_attempt(stage: Stage) -> None:
    stage.until_held("second")
    more = [{"name": "workflow", "resources": {"requests": {"memory": "96Mi"}, "limits": {"memory": "512Mi"}}}]
    stage.change("second", podTemplate=template(containers=more, terminationGracePeriodSeconds=4))
    stage.until_reason("second", "Running")
    (pod,) = stage.pods("second")
    path = f"/api/v1/namespaces/{stage.namespace}/pods/{pod['metadata']['name']}"
    assert stage.keys(stage.uid("second")) == ["before"]
    stage.cluster.api.delete(path, gracePeriodSeconds="0")
    again = stage.until_pod("second", 2)
    assert again["spec"]["containers"][0]["resources"]["limits"] == {"memory": "512Mi"}
    eventually(lambda: stage.pods("second")[-1]["status"]["phase"] == "Running", 60, every=0.2)
    eventually(lambda: stage.endings(stage.uid("second"))[1:] == [None], 30, every=0.2)
    stage.release("second")
    assert stage.until_finished("second")["result"] == ["before", "held", "after"]


def message(stage: Stage, name: str) -> str:
    """Why a Workflow stands where it does."""
    return str(workflows.condition(stage.get(name), "Finished").get("message"))


@contextmanager
def tainted(stage: Stage, node: str) -> Iterator[None]:
    """Have a node take no new pods but those that tolerate it."""
    path = f"/api/v1/nodes/{node}"
    taint = {"key": "example.com/reserved", "value": "yes", "effect": "NoSchedule"}
    stage.cluster.api.patch(path, {"spec": {"taints": [taint]}})
    try:
        yield
    finally:
        stage.cluster.api.patch(path, {"spec": {"taints": None}})
