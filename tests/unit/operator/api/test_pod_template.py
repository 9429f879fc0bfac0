"""A podTemplate laid over the pod of an attempt: what merges, what is replaced, and what stays ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.names import hash_seed
from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.pod import PodSettings, build_pod
from perdure_operator.api.pod_template import lay_over
from perdure_operator.decide.actions import CreatePod
from tests.unit.operator.api.manifests import TAKEN, UID, with_container, workflow
from tests.unit.operator.api.pods import CLAIM, SETTINGS, URL, WITH_TLS, container, pod, variables


@pytest.mark.parametrize("template", TAKEN.values(), ids=TAKEN)
def test_what_is_ours_stays_ours(template):
    made = pod(template)
    assert made["spec"]["restartPolicy"] == "Never"
    assert container(made)["command"] == ["perdure", "exec"]
    assert made["spec"]["containers"][0]["name"] == "workflow"
    assert variables(made)["PERDURE_CLAIM"] == str(CLAIM)
    assert pod()["metadata"]["labels"].items() <= made["metadata"]["labels"].items()
    mounted = {mount["name"] for one in made["spec"]["containers"] for mount in one.get("volumeMounts", [])}
    assert mounted == {volume["name"] for volume in made["spec"]["volumes"]}


def test_labels_and_annotations_are_added():
    made = pod({"metadata": {"labels": {"team": "a"}, "annotations": {"a.example/b": "c"}}})
    assert made["metadata"]["labels"]["team"] == "a"
    assert made["metadata"]["annotations"]["a.example/b"] == "c"
    assert made["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] == "workflow"


def test_all_attempts_of_a_run_have_one_hash_seed():
    parsed = parse_workflow(workflow({}))
    seeds = {
        variables(build_pod(parsed, CreatePod(attempt, CLAIM), SETTINGS))["PYTHONHASHSEED"] for attempt in (1, 2, 3)
    }
    assert seeds == {str(hash_seed(UID))}
    assert variables(pod(image="mine:1"))["PYTHONHASHSEED"] == str(hash_seed(UID))


def test_a_hash_seed_in_the_template_counts():
    made = pod(with_container(env=[{"name": "PYTHONHASHSEED", "value": "0"}]))
    assert [one["value"] for one in container(made)["env"] if one["name"] == "PYTHONHASHSEED"] == ["0"]


def test_variables_by_name_after_ours():
    made = pod(with_container(env=[{"name": "A", "value": "$(PERDURE_RUN_ID)"}, {"name": "HOME", "value": "/home"}]))
    names = [one["name"] for one in container(made)["env"]]
    assert names[-3:] == ["HOME", "USER", "A"]
    assert names[0].startswith("PERDURE_")
    assert variables(made)["HOME"] == "/home"


def test_a_variable_takes_the_place_of_ours_as_a_whole():
    made = pod(with_container(env=[{"name": "HOME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]))
    (home,) = (one for one in container(made)["env"] if one["name"] == "HOME")
    assert home.keys() == {"name", "valueFrom"}


def test_mounts_by_path_and_volumes_by_name():
    made = pod(TAKEN["volumes"])
    assert container(made)["volumeMounts"] == [
        {"name": "big", "mountPath": "/tmp/"},
        {"name": "data", "mountPath": "/data"},
    ]
    # Ours is gone with its mount.
    assert [volume["name"] for volume in made["spec"]["volumes"]] == ["data", "big"]
    larger = pod(TAKEN["our scratch volume, larger"])["spec"]["volumes"]
    assert larger == [{"name": "perdure-tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]


@pytest.mark.parametrize(
    ("given_resources", "laid"),
    [
        ({"requests": {"memory": "4Gi"}}, {"requests": {"cpu": "100m", "memory": "4Gi"}, "limits": {}}),
        ({"limits": {"memory": "64Mi"}}, {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}),
        (
            {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        ),
        (
            {"limits": {"gpu": "1"}},
            {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "1Gi", "gpu": "1"}},
        ),
        ({"limits": None}, {"requests": {"cpu": "100m", "memory": "128Mi"}}),
    ],
)
def test_resources_do_not_contradict_those_of_a_template(given_resources, laid):
    assert container(pod(with_container(resources=given_resources)))["resources"] == laid


def test_the_grace_period_is_known_to_the_process():
    made = pod({"spec": {"terminationGracePeriodSeconds": 300}})
    assert made["spec"]["terminationGracePeriodSeconds"] == 300
    assert variables(made)["PERDURE_GRACE_SECONDS"] == "300"


def test_a_grace_period_taken_away_is_ours():
    made = pod({"spec": {"terminationGracePeriodSeconds": None}})
    assert made["spec"]["terminationGracePeriodSeconds"] == 30
    assert variables(made)["PERDURE_GRACE_SECONDS"] == "30"


def test_maps_merge_by_key_and_null_takes_away():
    template = {
        "spec": {
            "securityContext": {"runAsUser": 1, "seccompProfile": None},
            "containers": [{"name": "workflow", "securityContext": {"readOnlyRootFilesystem": False}}],
        }
    }
    made = pod(template)
    assert made["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 1,
        "runAsGroup": 10001,
        "fsGroup": 10001,
    }
    assert container(made)["securityContext"]["readOnlyRootFilesystem"] is False
    assert container(made)["securityContext"]["allowPrivilegeEscalation"] is False


def test_null_does_not_take_away_what_a_template_may_not_change():
    spec = {"restartPolicy": None, "containers": [{"name": "workflow", "command": None, "args": None, "image": None}]}
    assert pod({"spec": spec}) == pod()
    assert pod({"spec": {"containers": None}}) == pod()


def test_other_containers_are_as_they_are_given():
    template = TAKEN["beside it and before it"]
    made = pod(template)
    assert made["spec"]["containers"][1:] == template["spec"]["containers"]
    assert made["spec"]["initContainers"] == template["spec"]["initContainers"]


def test_tolerations_are_added_and_other_lists_replaced():
    ours = {"metadata": {}, "spec": {"tolerations": [{"key": "a"}], "hostAliases": [{"ip": "1.1.1.1"}]}}
    laid = lay_over(ours, {"spec": {"tolerations": [{"key": "b"}], "hostAliases": [{"ip": "2.2.2.2"}]}})
    assert laid["spec"] == {"tolerations": [{"key": "a"}, {"key": "b"}], "hostAliases": [{"ip": "2.2.2.2"}]}


def test_pull_secrets_are_added_by_name():
    settings = PodSettings(database=URL, runtime_image="perdure:1", image_pull_secrets=("registry",))
    made = pod({"spec": {"imagePullSecrets": [{"name": "mine"}, {"name": "registry"}]}}, settings)
    assert made["spec"]["imagePullSecrets"] == [{"name": "registry"}, {"name": "mine"}]


def test_neither_the_template_nor_the_settings_are_changed():
    template = with_container(env=[{"name": "A", "value": "1"}], resources={"limits": {"memory": "1Gi"}})
    before = repr(template)
    first = pod(template)
    first["spec"]["containers"][0]["resources"]["limits"]["memory"] = "x"
    assert repr(template) == before
    assert container(pod())["resources"]["limits"] == {"memory": "1Gi"}


KEYS = st.sampled_from(
    ["nodeSelector", "volumes", "securityContext", "tolerations", "x", "affinity", "imagePullSecrets"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["workflow", "x"]),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS | st.just("name"), children, max_size=4),
    max_leaves=12,
)


@given(
    fields=st.dictionaries(KEYS, JSON, max_size=4),
    more=st.dictionaries(st.sampled_from(["env", "volumeMounts", "resources", "ports"]), JSON),
)
def test_any_template_that_is_not_refused_makes_a_pod(fields, more):
    parsed = parse_workflow(workflow({"podTemplate": {"spec": {**fields, **with_container(**more)["spec"]}}}))
    if parsed.problem is None:
        for settings in (SETTINGS, WITH_TLS):
            assert build_pod(parsed, CreatePod(1, CLAIM), settings)["spec"]["containers"]
