"""The chart over a matrix of values: what Helm makes of each, what must hold for all, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from perdure_operator.settings import Settings
from tests.cluster.crds import workflow_crd
from tests.cluster.helm import CHART, Helm, HelmFailed
from tests.unit.chart.settings import ELSEWHERE, WITHOUT

from .variants import VARIANTS

each = pytest.mark.parametrize("values", VARIANTS.values(), ids=VARIANTS.keys())
RESOURCES = (
    "customresourcedefinitions",
    "workflows/status",
    "workflows",
    "pods",
    "configmaps",
    "events",
    "namespaces",
    "leases",
    "secrets",
    "tokenreviews",
    "subjectaccessreviews",
)
REVIEWS = [
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
]
CLUSTERWIDE = {"ClusterRole", "ClusterRoleBinding"}


def pods(objects: list[Any]) -> Iterator[tuple[str, Any]]:
    for one in objects:
        if one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]
        elif "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]


def rules(objects: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in objects:
        if one["kind"] in ("Role", "ClusterRole"):
            for rule in one["rules"]:
                if "resources" in rule:
                    yield one["metadata"]["name"], rule


@each
def test_lint_has_no_warning(helm: Helm, values):
    told = helm.run("lint", "--strict", str(CHART), helm.values(values))
    assert "[WARNING]" not in told, told
    assert "1 chart(s) linted, 0 chart(s) failed" in told


@each
def test_it_is_the_same_each_time_and_holds_no_secret(helm: Helm, values):
    text = helm.text(values)
    assert helm.text(values) == text
    assert "kind: Secret" not in text


@each
def test_there_is_no_hook_but_those_of_the_test(helm: Helm, values):
    hooks = {one["metadata"].get("annotations", {}).get("helm.sh/hook") for one in helm.objects(values)}
    assert hooks == {None, "test"}
    assert "helm.sh/hook:" not in helm.text(values, "--skip-tests")


@each
def test_every_object_says_where_it_is_and_whose(helm: Helm, values):
    objects = helm.objects(values)
    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))
    for one in objects:
        metadata = one["metadata"]
        assert ("namespace" in metadata) == (one["kind"] not in CLUSTERWIDE), metadata
        assert metadata["labels"]["app.kubernetes.io/instance"] == "perdure"
        assert metadata["labels"]["app.kubernetes.io/component"]


@each
def test_no_role_is_wider_than_it_says(helm: Helm, values):
    for name, rule in rules(helm.objects(values)):
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]], name
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
        if "secrets" in rule["resources"]:
            assert rule["resources"] == ["secrets"]
            assert set(rule["verbs"]) == {"create", "patch"}
            assert rule["resourceNames"]
        if "namespaces" in rule["resources"]:
            assert rule["resourceNames"] == ["kube-system"]
            assert rule["verbs"] == ["get"]
        if "customresourcedefinitions" in rule["resources"]:
            assert rule["resourceNames"] == ["workflows.perdure.io"]
            assert set(rule["verbs"]) == {"create", "get", "patch"}
        if "leases" in rule["resources"]:
            assert len(rule["resourceNames"]) == 1
            assert set(rule["verbs"]) == {"create", "get", "patch", "update"}


@each
def test_no_lease_is_in_the_chart(helm: Helm, values):
    """Argo CD applies none by default, and whoever applies one would reset its holder."""
    assert not [one for one in helm.objects(values) if one["kind"] == "Lease"]


@each
def test_only_who_calls_the_api_has_a_token(helm: Helm, values):
    for name, spec in pods(helm.objects(values)):
        assert spec["automountServiceAccountToken"] is False, name
        containers = [*spec.get("initContainers", []), *spec["containers"]]
        have = {one["name"] for one in containers if any(m["name"] == "token" for m in one["volumeMounts"])}
        assert have <= {"operator", "passwords", "share", "kind", "check"}, name
        assert have


@each
def test_every_mount_has_a_volume_and_every_volume_a_mount(helm: Helm, values):
    for name, spec in pods(helm.objects(values)):
        containers = [*spec.get("initContainers", []), *spec["containers"]]
        mounted = {mount["name"] for one in containers for mount in one["volumeMounts"]}
        there = {volume["name"] for volume in spec["volumes"]}
        assert mounted == there, name


@each
def test_the_kind_is_brought_by_the_operator_and_is_no_part_of_a_release(helm: Helm, values):
    """A release that is rolled back would take it back, and one that is uninstalled would leave it as its own."""
    objects = helm.objects(values)
    assert not [one for one in objects if one["kind"] == "CustomResourceDefinition"]
    (chores,) = [one for one in objects if one["kind"] == "ConfigMap" and "chores.py" in one["data"]]
    (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
    first = [one["name"] for one in deployment["spec"]["template"]["spec"].get("initContainers", [])][:1]
    if values.get("crds", {}).get("enabled", True):
        assert json.loads(chores["data"]["kind.json"]) == workflow_crd()
        assert first == ["kind"]
    else:
        assert "kind.json" not in chores["data"]
        assert first != ["kind"]


def test_one_operator_has_no_budget_that_would_block_drains(helm: Helm):
    for replicas, budgets in ((0, 0), (1, 0), (2, 1), (3, 1)):
        objects = helm.objects({"operator": {"replicas": replicas}})
        assert sum(one["kind"] == "PodDisruptionBudget" for one in objects) == budgets


def test_in_some_namespaces_the_operator_has_no_rights_elsewhere(helm: Helm):
    objects = helm.objects({"operator": {"namespaces": ["team-a"]}})
    wide = [
        rule
        for one in objects
        if one["kind"] == "ClusterRole"
        and "-view" not in one["metadata"]["name"]
        and "-edit" not in one["metadata"]["name"]
        for rule in one["rules"]
    ]
    named = [(rule["resources"], rule.get("resourceNames")) for rule in wide]
    assert named == [
        (["namespaces"], ["kube-system"]),
        (["customresourcedefinitions"], ["workflows.perdure.io"]),
        (["tokenreviews"], None),
        (["subjectaccessreviews"], None),
    ]
    (role,) = [
        one
        for one in objects
        if one["kind"] == "Role"
        and one["metadata"]["namespace"] == "team-a"
        and one["metadata"]["name"] != "perdure-test"
    ]
    (everywhere,) = [
        one
        for one in helm.objects({})
        if one["kind"] == "ClusterRole" and one["metadata"]["name"] == "perdure-workflows"
    ]
    assert role["rules"] == everywhere["rules"]


def test_with_an_id_of_the_cluster_some_namespaces_take_no_right_of_the_clusters(helm: Helm):
    """Where an administrator has brought the kind."""
    values = {"operator": {"namespaces": ["team-a"], "clusterId": "eu-1"}, "crds": {"enabled": False}}
    assert {one["kind"] for one in helm.objects(values)} & CLUSTERWIDE == set()
    # Who asks for the roles of Kubernetes to know of Workflows gets that.
    aggregated = helm.objects({**values, "rbac": {"aggregate": True}})
    assert {one["metadata"]["name"] for one in aggregated if one["kind"] == "ClusterRole"} == {
        "perdure.here-view",
        "perdure.here-edit",
    }


def test_metrics_are_closed_unless_somebody_opens_them(helm: Helm):
    def of(values: Any) -> tuple[str, set[int], list[Any], list[Any]]:
        objects = helm.objects({**values, "networkPolicy": {"enabled": True}})
        (deployment,) = [one for one in objects if one["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        told = {one["name"]: one.get("value", "") for one in container["env"]}
        ports = {port["containerPort"] for port in container["ports"]}
        reviews = [rule for _, rule in rules(objects) if rule in REVIEWS]
        return (
            told["PERDURE_OPERATOR_METRICS"],
            ports,
            reviews,
            [one for one in objects if one["kind"] == "ServiceMonitor"],
        )

    monitored = {"serviceMonitor": {"enabled": True}}
    access, ports, reviews, (monitor,) = of({"metrics": monitored})
    assert (access, ports, reviews) == ("authorized", {8080, 8443}, REVIEWS)
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["scheme"]) == ("metrics", "https")
    assert endpoint["bearerTokenFile"].endswith("/token")
    assert endpoint["tlsConfig"] == {"insecureSkipVerify": True}

    checked = of({"metrics": {**monitored, "certificateSecret": "tls"}})[3][0]["spec"]["endpoints"][0]["tlsConfig"]
    name = "perdure-operator.here.svc"
    assert checked == {"serverName": name, "ca": {"secret": {"name": "tls", "key": "ca.crt"}}}

    access, ports, reviews, (monitor,) = of({"metrics": {**monitored, "access": "open"}})
    assert (access, ports, reviews) == ("open", {8080}, [])
    (endpoint,) = monitor["spec"]["endpoints"]
    assert "bearerTokenFile" not in endpoint

    without = {
        "operator": {"namespaces": ["team-a"], "clusterId": "eu-1"},
        "crds": {"enabled": False},
        "metrics": monitored,
    }
    assert of(without) == ("none", {8080}, [], [])
    asked_for = {**without, "metrics": {"access": "authorized"}}
    assert of(asked_for)[:3] == ("authorized", {8080, 8443}, REVIEWS)


def test_who_is_named_may_read_metrics(helm: Helm):
    prometheus = {"name": "prometheus-k8s", "namespace": "monitoring"}
    objects = helm.objects({"metrics": {"readers": [prometheus]}})
    by_kind = {one["kind"]: one for one in objects if one["metadata"]["name"].endswith("-metrics")}
    assert by_kind["ClusterRole"]["rules"] == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
    assert by_kind["ClusterRoleBinding"]["subjects"] == [{"kind": "ServiceAccount", **prometheus}]


def test_with_an_id_of_the_cluster_no_namespace_is_looked_at(helm: Helm):
    ruled = [
        resource
        for _, rule in rules(helm.objects({"operator": {"clusterId": "eu-1"}}))
        for resource in rule["resources"]
    ]
    assert "pods" in ruled
    assert "namespaces" not in ruled


def test_a_user_that_the_image_does_not_know_gets_a_name_where_postgres_asks_for_one(helm: Helm):
    def postgres(user: int | None) -> Any:
        objects = helm.objects({"podSecurityContext": {"runAsUser": user}})
        return dict(pods(objects))["perdure-postgres"]

    def names(spec: Any) -> list[str]:
        return [one["name"] for one in spec["initContainers"]]

    assert names(postgres(10001)) == ["passwords"]
    for user in (None, 1_000_650_000):
        spec = postgres(user)
        assert names(spec) == ["passwords", "name"]
        assert spec["securityContext"].get("runAsUser") == user
        (mount,) = [one for one in spec["containers"][0]["volumeMounts"] if one["mountPath"] == "/etc/passwd"]
        assert mount == {"name": "user", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True}


def test_the_key_of_the_pods_secret_is_one_for_all(helm: Helm):
    values = {"workflows": {"databaseSecret": {"key": "uri", "namespaces": ["team-a"]}}}
    specs = dict(pods(helm.objects(values)))
    containers = [one for spec in specs.values() for one in [*spec.get("initContainers", []), *spec["containers"]]]
    told = {(one["name"], variable["name"]): variable for one in containers for variable in one.get("env", [])}
    assert told["operator", "PERDURE_OPERATOR_POD_DATABASE_SECRET_KEY"]["value"] == "uri"
    assert told["passwords", "POD_KEY"]["value"] == "uri"
    assert told["share", "KEY"]["value"] == "uri"
    assert told["share", "LOGINS_SEED"]["valueFrom"]["secretKeyRef"] == {"name": "perdure-logins", "key": "seed"}
    other = dict(pods(helm.objects({**values, "database": {"existingSecret": "store"}})))["perdure-operator"]
    (share,) = (one for one in other["initContainers"] if one["name"] == "share")
    (copied,) = (one for one in share["env"] if one["name"] == "DATABASE_URL")
    assert copied["valueFrom"]["secretKeyRef"] == {"name": "perdure-pod-database", "key": "uri"}
    assert "PERDURE_DATABASE_URL" not in {one["name"] for one in share["env"]}


@pytest.mark.parametrize(
    ("values", "namespace"),
    [
        ({}, ""),
        ({"workflows": {"databaseSecret": {"namespaces": ["here"]}}}, ""),
        ({"workflows": {"databaseSecret": {"namespaces": ["here", "team-a", "team-b"]}}}, "team-a"),
        ({"operator": {"namespaces": ["here", "team-b"]}}, "team-b"),
        (
            {
                "operator": {"namespaces": ["team-b", "team-c"]},
                "workflows": {"databaseSecret": {"namespaces": ["team-a", "team-c"]}},
            },
            "team-c",
        ),
        ({"test": {"namespace": "team-d"}, "workflows": {"databaseSecret": {"namespaces": ["team-a"]}}}, "team-d"),
        ({"workflows": {"inReleaseNamespace": True}}, "here"),
        ({"workflows": {"inReleaseNamespace": True}, "operator": {"namespaces": ["here"]}}, "here"),
        ({"workflows": {"inReleaseNamespace": True}, "operator": {"namespaces": ["team-a"]}}, "team-a"),
    ],
)
def test_helm_test_is_where_workflows_may_be(helm: Helm, values, namespace):
    tests = [one for one in helm.objects(values) if "helm.sh/hook" in one["metadata"].get("annotations", {})]
    (pod,) = [one for one in tests if one["kind"] == "Pod"]
    told = {one["name"]: one["value"] for one in pod["spec"]["containers"][0]["env"]}
    assert told["NAMESPACE"] == namespace
    assert pod["metadata"]["namespace"] == "here"
    roles = {one["metadata"]["namespace"] for one in tests if one["kind"] in ("Role", "RoleBinding")}
    assert roles == ({namespace} if namespace else set())


def test_the_notes_give_workflows_a_namespace_where_none_is_known(helm: Helm):
    def notes(*values: str) -> str:
        told = helm.run("install", "perdure", str(CHART), "--dry-run=client", "--namespace=here", *values)
        return told.partition("NOTES:\n")[2]

    first = "kubectl create namespace team-a\nhelm upgrade perdure ... --namespace here"
    assert first in notes()
    assert "kubectl apply --namespace team-a " in notes()
    for values in ("workflows.databaseSecret.namespaces={team-b}", "operator.namespaces={here,team-b}"):
        assert first not in notes(f"--set={values}")
        assert "kubectl apply --namespace team-b " in notes(f"--set={values}")
    allowed = notes("--set=workflows.inReleaseNamespace=true")
    assert first not in allowed
    assert "kubectl apply --namespace here " in allowed


def test_workflows_are_in_the_releases_namespace_only_where_that_is_said(helm: Helm):
    def told(values: Any) -> Settings:
        (deployment,) = [one for one in helm.objects(values) if one["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return Settings.parse([], {one["name"]: one.get("value", "postgresql://x") for one in container["env"]})

    assert (told({}).own_namespace, told({}).workflows_in_own_namespace) == ("here", False)
    allowed = told({"workflows": {"inReleaseNamespace": True}, "operator": {"namespaces": ["here"]}})
    assert (allowed.own_namespace, allowed.workflows_in_own_namespace) == ("here", True)


def test_the_operator_can_be_told_each_setting_that_has_a_value(helm: Helm):
    told: set[str] = set()
    for values in VARIANTS.values():
        (deployment,) = [one for one in helm.objects(values) if one["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        told |= {one["name"] for one in container["env"]}
    settings = {name.removeprefix("PERDURE_OPERATOR_").removeprefix("PERDURE_").lower() for name in told}
    assert set(ELSEWHERE) <= settings
    # What these are is in the pod, or the chart's alone to say.
    assert settings & set(WITHOUT) == {"leader_election_namespace", "leader_election_name", "own_namespace"}


def test_what_the_operator_is_told_is_what_it_reads(helm: Helm):
    values = {**VARIANTS["production"], "operator": {**VARIANTS["production"]["operator"], "namespaces": ["a", "b"]}}
    (deployment,) = [one for one in helm.objects(values) if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value", "postgresql://from/secret") for one in container["env"]}
    settings = Settings.parse([], told)
    assert settings.max_active_runs == 2_000_000
    assert (settings.own_namespace, settings.workflows_in_own_namespace) == ("here", False)
    assert settings.lease_seconds == 7.5
    assert (settings.log_level, settings.log_format) == ("DEBUG", "text")
    assert settings.namespaces == ("a", "b")
    assert settings.image_pull_secrets == ("pull", "more")
    assert settings.runtime_image == f"mirror.example/team/perdure-runtime@sha256:{'1' * 64}"
    assert (settings.leader_election_namespace, settings.leader_election_name) == ("here", "perdure-operator")
    assert (settings.pod_database_secret, settings.pod_database_secret_key) == ("store", "uri")
    assert (settings.pod_database_tls_mode, settings.pod_database_client_secret) == ("verify-full", "runs-client")
    assert (settings.pod_database_ca_secret, settings.pod_database_ca_config_map) == (None, "store-ca")
    assert settings.pod_database_ca_key == "root.pem"
    assert settings.cluster_id == "eu-1"
    assert settings.pod_user == 10001
    assert {name for name in told if name.startswith("PG")} == {"PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY"}


@pytest.mark.parametrize(
    ("values", "operator", "runtime"),
    [
        ({}, "perdure:0.1.0", "perdure-runtime:0.1.0"),
        ({"image": {"repository": "r/p", "tag": "7"}}, "r/p:7", "r/p-runtime:7"),
        ({"workflows": {"image": {"repository": "r/w", "tag": "8"}}}, "perdure:0.1.0", "r/w:8"),
        ({"image": {"digest": f"sha256:{'0' * 64}"}}, f"perdure@sha256:{'0' * 64}", "perdure-runtime:0.1.0"),
    ],
)
def test_pods_of_workflows_have_an_image_of_their_own(helm: Helm, values, operator, runtime):
    (deployment,) = [one for one in helm.objects(values) if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert (container["image"], told["PERDURE_OPERATOR_RUNTIME_IMAGE"]) == (operator, runtime)
    # Everything else of the chart is the operator's image, which has Postgres and its programs.
    specs = [spec for _, spec in pods(helm.objects(values))]
    others = [one for spec in specs for one in [*spec.get("initContainers", []), *spec["containers"]]]
    assert {one["image"] for one in others} == {operator}


def test_every_permission_stands_in_the_readme_with_its_reason(helm: Helm):
    told: set[tuple[str, str, str]] = set()
    who = ""
    section = (CHART / "README.md").read_text().partition("## Permissions")[2].partition("## Values")[0]
    for named, may, why in re.findall(r"(?m)^\|([^|]*)\|([^|]+)\|([^|]+)\|$", section)[2:]:
        who = next((one for one in ("operator", "postgres", "test") if one in named.lower()), who)
        *verbs, last = may.strip().split(", ")
        verb, _, things = last.partition(" ")
        thing = next(thing for thing in RESOURCES if thing.removesuffix("s") in things.lower())
        told |= {(who, one, thing) for one in [*verbs, verb]}
        assert why.strip()
    values = {"workflows": {"databaseSecret": {"namespaces": ["team-a"]}}}
    given = {
        (one["metadata"]["labels"]["app.kubernetes.io/component"], verb, resource)
        for one in helm.objects(values)
        if one["kind"] in ("Role", "ClusterRole")
        for rule in one["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
    }
    assert {one for one in given if one[0] != "user-roles"} == told


def test_the_values_of_the_production_checklist_are_taken(helm: Helm):
    page = (CHART.parents[1] / "docs" / "production.md").read_text()
    (block,) = re.findall(r"(?ms)^```yaml\n(# production.yaml\n.*?)^```$", page)
    objects = helm.objects(yaml.safe_load(block.replace("sha256:...", f"sha256:{'0' * 64}")))
    kinds = {one["kind"] for one in objects}
    assert "StatefulSet" not in kinds
    assert {"NetworkPolicy", "ServiceMonitor", "PodDisruptionBudget"} <= kinds


def test_variants_name_every_value():
    # So that none is without a test.
    schema = json.loads((CHART / "values.schema.json").read_text())

    def leaves(schema: dict[str, Any], given: list[dict[str, Any]], path: str) -> Iterator[str]:
        for name, of in schema["properties"].items():
            below = [values[name] for values in given if name in values]
            if "properties" in of:
                yield from leaves(of, below, f"{path}{name}.")
            elif not below:
                yield f"{path}{name}"

    unnamed = set(leaves(schema, list(VARIANTS.values()), ""))
    # One and the same loop hands these to the operator.
    settings = {path for path in unnamed if path.startswith("operator.settings.")}
    assert unnamed - settings == {
        "image.pullPolicy",
        "networkPolicy.apiServerPorts",
        "networkPolicy.databasePort",
        "operator.nodeSelector",
        "operator.resources",
        "podSecurityContext.runAsNonRoot",
        "podSecurityContext.seccompProfile.localhostProfile",
        "podSecurityContext.seccompProfile.type",
        "postgres.nodeSelector",
    }


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"replicas": 3}, "'replicas' not allowed"),
        ({"operator": {"replica": 3}}, "'replica' not allowed"),
        ({"operator": {"replicas": "two"}}, "got string, want integer"),
        ({"operator": {"settings": {"workers": 0}}}, "minimum"),
        ({"operator": {"resources": {"request": {}}}}, "'request' not allowed"),
        ({"database": {"tls": {"mode": "on"}}}, "must be one of"),
        ({"database": {"existingSecret": "Not A Name"}}, "does not match pattern"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "value must be true"),
        ({"podSecurityContext": {"runAsUser": 0}}, "minimum"),
        ({"image": {"digest": "latest"}}, "does not match pattern"),
        ({"workflows": {"image": {"digest": "latest"}}}, "does not match pattern"),
        ({"workflows": {"databaseSecret": {"namespaces": ["a", "a"]}}}, "items at 0 and 1 are equal"),
        ({"workflows": {"databaseSecret": {"key": "password"}}}, "'not' failed"),
        ({"workflows": {"databaseTls": {"mode": "on"}}}, "must be one of"),
        ({"workflows": {"databaseTls": {"certificate": "a"}}}, "'certificate' not allowed"),
        ({"workflows": {"user": 0}}, "minimum"),
        ({"workflows": {"user": "platform"}}, "got string, want"),
        ({"operator": {"clusterId": "my cluster"}}, "does not match pattern"),
        ({"operator": {"clusterId": 1}}, "got number, want string"),
        ({"workflows": {"inReleaseNamespace": "yes"}}, "got string, want boolean"),
        ({"operator": {"namespaces": ["here"]}}, "Workflows in the release's namespace are refused"),
        (
            {"workflows": {"databaseTls": {"ca": {"secret": "a", "configMap": "b"}}}},
            "workflows.databaseTls.ca: give a secret or a configMap, not both",
        ),
        (
            {"database": {"existingSecret": "s", "tls": {"ca": {"secret": "a", "configMap": "b"}}}},
            "database.tls.ca: give a secret or a configMap, not both",
        ),
    ],
)
def test_values_that_mean_nothing_are_refused(helm: Helm, values, said):
    with pytest.raises(HelmFailed, match=said):
        helm.text(values)
