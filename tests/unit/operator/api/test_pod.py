"""The pod of an attempt: ours, and ours with a podTemplate laid over it."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.names import Claim, hash_seed
from perdure.pod.environment import PodEnvironment
from perdure_operator.api.database_tls import DatabaseTls
from perdure_operator.api.names import pod_name
from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.pod import PodSettings, SecretKey, build_pod
from perdure_operator.api.pod_template import lay_over
from perdure_operator.api.pod_view import parse_pod
from perdure_operator.decide.actions import CreatePod
from tests.unit.operator.api.manifests import NAME, TAKEN, UID, with_container, workflow

CLAIM = Claim(UUID("11111111-2222-4333-8444-555555555555"))
URL = "postgresql://store/perdure"
SETTINGS = PodSettings(database=URL, runtime_image="perdure:1")


def pod(template: Any = None, settings: PodSettings = SETTINGS, **spec: Any) -> dict[str, Any]:
    parsed = parse_workflow(workflow({**spec, "podTemplate": template} if template is not None else spec))
    assert parsed.problem is None
    return build_pod(parsed, CreatePod(2, CLAIM), settings)


def container(made: dict[str, Any], name: str = "workflow") -> dict[str, Any]:
    (found,) = (one for one in made["spec"]["containers"] if one["name"] == name)
    return found


def variables(made: dict[str, Any]) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(made)["env"]}


# Ours.


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


# With a template.


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


# TLS to the store.

TLS = DatabaseTls(mode="verify-full", ca_config_map="authorities", ca_key="store.pem", client_secret="login")
WITH_TLS = PodSettings(database=URL, tls=TLS, runtime_image="perdure:1")


def test_without_tls_settings_there_is_nothing_of_it():
    # An empty variable is one that is not set; one that is not there could be set by an `envFrom` of the template.
    assert {value for name, value in variables(pod()).items() if "SSL" in name} == {""}
    assert [volume["name"] for volume in pod()["spec"]["volumes"]] == ["perdure-tmp"]


def test_the_mode_alone_needs_no_files():
    made = pod(settings=PodSettings(database=URL, tls=DatabaseTls(mode="require"), runtime_image="perdure:1"))
    assert variables(made)["PERDURE_DATABASE_SSLMODE"] == "require"
    assert [volume["name"] for volume in made["spec"]["volumes"]] == ["perdure-tmp"]


def test_what_the_variables_name_is_mounted_and_nothing_else_of_its_objects():
    made = pod(settings=WITH_TLS)
    told = {name: value for name, value in variables(made).items() if "SSL" in name}
    assert PodEnvironment.parse({name: str(value) for name, value in variables(made).items()}).database_tls == {
        "sslmode": "verify-full",
        "sslrootcert": "/etc/perdure/database/ca/ca.crt",
        "sslcert": "/etc/perdure/database/client/tls.crt",
        "sslkey": "/etc/perdure/database/client/tls.key",
    }
    volumes = {volume["name"]: volume for volume in made["spec"]["volumes"]}
    assert volumes["perdure-database-ca"]["configMap"] == {
        "name": "authorities",
        "items": [{"key": "store.pem", "path": "ca.crt"}],
    }
    client = volumes["perdure-database-client"]["secret"]
    assert (client["secretName"], client["defaultMode"]) == ("login", 0o440)
    files = set()
    for mount in container(made)["volumeMounts"]:
        (source,) = (part for name, part in volumes[mount["name"]].items() if name != "name")
        files |= {f"{mount['mountPath']}/{item['path']}" for item in source.get("items", [])}
    assert files == set(told.values()) - {"verify-full"}


def test_the_authority_can_be_in_a_secret():
    made = pod(settings=PodSettings(database=URL, tls=DatabaseTls(ca_secret="ca"), runtime_image="perdure:1"))
    assert made["spec"]["volumes"][-1] == {
        "name": "perdure-database-ca",
        "secret": {"secretName": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]},
    }


def test_whoever_the_user_is_can_read_the_key():
    assert pod(settings=WITH_TLS, image="bank:1")["spec"]["securityContext"]["fsGroup"] == 10001
    theirs = {"spec": {"securityContext": {"fsGroup": 7}}}
    assert pod(theirs, WITH_TLS, image="bank:1")["spec"]["securityContext"]["fsGroup"] == 7
    assert "fsGroup" not in pod(image="bank:1")["spec"]["securityContext"]


def test_no_template_takes_the_place_of_what_tls_needs():
    mine = {"name": "perdure-database-ca", "emptyDir": {}}
    mount = {"name": "perdure-database-ca", "mountPath": "/etc/perdure/database/ca"}
    template = {"spec": {"volumes": [mine], **with_container(volumeMounts=[mount])["spec"]}}
    made = pod(template, WITH_TLS)
    # Two of a name: so the API server refuses the pod, and the Workflow says why.
    assert [volume["name"] for volume in made["spec"]["volumes"]].count("perdure-database-ca") == 2
    assert made["spec"]["volumes"][-2:] == pod(settings=WITH_TLS)["spec"]["volumes"][-2:]
    assert container(made)["volumeMounts"][-2:] == container(pod(settings=WITH_TLS))["volumeMounts"][-2:]


def test_a_workflows_own_databases_keep_their_own_tls():
    made = pod(with_container(env=[{"name": "PGSSLMODE", "value": "require"}]), WITH_TLS)
    assert variables(made)["PGSSLMODE"] == "require"
    assert variables(made)["PERDURE_DATABASE_SSLMODE"] == "verify-full"
    assert not [name for name in variables(pod(settings=WITH_TLS)) if name.startswith("PG")]


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
