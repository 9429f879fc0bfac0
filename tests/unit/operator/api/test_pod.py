"""The pod of an attempt, as the operator makes it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.pod.environment import PodEnvironment
from perdure_operator.api.names import pod_name
from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.pod import PodSettings, SecretKey, build_pod
from perdure_operator.api.pod_view import parse_pod
from perdure_operator.decide.actions import CreatePod
from tests.unit.operator.api.manifests import NAME, UID, workflow
from tests.unit.operator.api.pods import CLAIM, SETTINGS, URL, container, pod, variables


def test_whose_it_is():
    metadata = pod()["metadata"]
    assert (metadata["name"], metadata["namespace"]) == (f"{NAME}-5f0c2f6e-2", "shop")
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "perdure",
        "perdure.io/workflow": NAME,
        "perdure.io/workflow-uid": str(UID),
        "perdure.io/attempt": "2",
    }
    (owner,) = metadata["ownerReferences"]
    assert owner == {
        "apiVersion": "perdure.io/v1alpha1",
        "kind": "Workflow",
        "name": NAME,
        "uid": str(UID),
        "controller": True,
        "blockOwnerDeletion": False,
    }


def test_the_process_reads_its_environment():
    environment = variables(pod())
    texts = {name: value for name, value in environment.items() if isinstance(value, str)}
    read = PodEnvironment.parse(texts)
    assert (read.run_id, read.claim, read.database_url) == (UID, CLAIM, URL)
    assert (read.grace_seconds, read.lease_seconds) == (30, 6)
    assert environment["PERDURE_POD_NAME"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert environment["PERDURE_NODE_NAME"]["fieldRef"]["fieldPath"] == "spec.nodeName"


def test_the_database_is_in_a_secret():
    made = pod(settings=PodSettings(database=SecretKey("store", "dsn"), runtime_image="perdure:1"))
    assert variables(made)["PERDURE_DATABASE_URL"] == {"secretKeyRef": {"name": "store", "key": "dsn"}}


def test_a_database_url_is_no_template():
    made = pod(settings=PodSettings(database="postgresql://u:$(HOME)$$@h/d", runtime_image="perdure:1"))
    assert "$$(HOME)" in variables(made)["PERDURE_DATABASE_URL"]


def test_settings_do_not_show_the_database():
    assert URL not in repr(SETTINGS)


def test_it_is_given_only_what_it_needs():
    spec = pod()["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    made = container(pod())
    assert made["command"] == ["perdure", "exec"]
    assert made["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert made["terminationMessagePolicy"] == "FallbackToLogsOnError"
    assert made["resources"] == {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}}
    assert made["volumeMounts"] == [{"name": "perdure-tmp", "mountPath": "/tmp"}]


def test_our_image_has_our_user_and_others_keep_theirs():
    assert container(pod())["image"] == "perdure:1"
    assert pod()["spec"]["securityContext"]["runAsUser"] == 10001
    assert variables(pod())["HOME"] == "/tmp"
    assert container(pod(image="bank:1"))["image"] == "bank:1"
    assert "runAsUser" not in pod(image="bank:1")["spec"]["securityContext"]
    assert "HOME" not in variables(pod(image="bank:1"))


def test_the_platform_can_give_our_image_a_user():
    made = pod(settings=PodSettings(database=URL, runtime_image="perdure:1", runtime_user=None))
    assert made["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    # Which has neither home nor name.
    assert (variables(made)["HOME"], variables(made)["USER"]) == ("/tmp", "perdure")


def test_our_image_can_have_another_user():
    security = pod(settings=PodSettings(database=URL, runtime_image="perdure:1", runtime_user=7))["spec"]
    assert security["securityContext"].items() >= {"runAsUser": 7, "runAsGroup": 7, "fsGroup": 7}.items()


def test_settings_of_the_image():
    settings = PodSettings(
        database=URL, runtime_image="perdure:1", image_pull_policy="Always", image_pull_secrets=("registry",)
    )
    assert container(pod(settings=settings))["imagePullPolicy"] == "Always"
    assert pod(settings=settings)["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    assert "imagePullPolicy" not in container(pod())


@given(name=st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,80}[a-z0-9])?", fullmatch=True), attempt=st.integers(1, 10**6))
def test_names_are_names(name, attempt):
    made = pod_name(name, UID, attempt)
    assert len(made) <= 63
    if not re.search(r"[.-][.-]", name):
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", made)


def test_a_pod_is_read_back_as_that_of_its_claim():
    read = parse_pod(pod())
    assert (read.attempt, read.claim, read.generation) == (2, CLAIM, 3)


# Nodes that are better left alone.

PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def avoiding(template: Any = None, *nodes: str) -> Any:
    parsed = parse_workflow(workflow({"podTemplate": template} if template is not None else {}))
    return build_pod(parsed, CreatePod(2, CLAIM, nodes), SETTINGS)["spec"].get("affinity")


def test_other_nodes_are_preferred_to_those_that_fell_silent():
    # Kubernetes takes one value for a field.
    others = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in ("a", "b")]
    ours = {"weight": 100, "preference": {"matchFields": others}}
    assert avoiding(None, "a", "b") == {"nodeAffinity": {PREFERRED: [ours]}}
    assert avoiding() is None


def test_what_a_template_prefers_stays():
    theirs = {"weight": 1, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}}
    affinity = {"podAffinity": {}, "nodeAffinity": {PREFERRED: [theirs]}}
    template = {"spec": {"affinity": affinity}}
    made = avoiding(template, "a")
    assert made["podAffinity"] == {}
    assert [one["weight"] for one in made["nodeAffinity"][PREFERRED]] == [1, 100]
    assert affinity["nodeAffinity"] == {PREFERRED: [theirs]}


@pytest.mark.parametrize(
    "affinity", ["odd", {"nodeAffinity": "odd"}, {"nodeAffinity": {PREFERRED: "odd"}}, {"nodeAffinity": None}]
)
def test_an_affinity_that_makes_no_sense_is_left_to_the_api_server(affinity):
    avoiding({"spec": {"affinity": affinity}}, "a")
