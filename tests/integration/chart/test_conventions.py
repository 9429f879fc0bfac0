"""What people know from other charts is there by the same names, and means the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.cluster.helm import Helm, HelmFailed

Json = dict[str, Any]
EVERYTHING = {"workflows": {"databaseSecret": {"namespaces": ["team-a"]}}}
"""So that there is every container."""


def specs(helm: Helm, values: Mapping[str, Any]) -> dict[str, Json]:
    """What each kind of pods is made from: Deployment, StatefulSet, Pod."""
    objects = helm.objects({**EVERYTHING, **values})
    return {
        one["kind"]: one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"]
        for one in objects
        if one["kind"] in ("Deployment", "Pod", "StatefulSet")
    }


def containers(helm: Helm, values: Mapping[str, Any]) -> Iterator[Json]:
    for spec in specs(helm, values).values():
        yield from [*spec.get("initContainers", []), *spec["containers"]]


def container(helm: Helm, values: Mapping[str, Any], name: str) -> Json:
    (found,) = [one for one in containers(helm, values) if one["name"] == name]
    return found


def told(container: Json) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container.get("env", [])}


def of_kind(helm: Helm, values: Mapping[str, Any], kind: str) -> list[Json]:
    return [one for one in helm.objects(values) if one["kind"] == kind]


def test_an_account_that_is_there_is_taken_and_none_is_made(helm: Helm) -> None:
    account = {"create": False, "name": "platform"}
    values = {"operator": {"serviceAccount": account}}
    assert "platform" not in {one["metadata"]["name"] for one in of_kind(helm, values, "ServiceAccount")}
    assert specs(helm, values)["Deployment"]["serviceAccountName"] == "platform"
    bindings = of_kind(helm, values, "ClusterRoleBinding")
    assert bindings
    for binding in bindings:
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "platform", "namespace": "here"}]
    nameless = {"operator": {"serviceAccount": {"create": False}}}
    assert specs(helm, nameless)["Deployment"]["serviceAccountName"] == "default"


def test_a_global_registry_stands_before_every_image(helm: Helm) -> None:
    values = {"global": {"imageRegistry": "mirror.example:5000"}, "image": {"repository": "team/perdure", "tag": "7"}}
    images = {one["image"] for one in containers(helm, values)}
    assert images == {"mirror.example:5000/team/perdure:7"}
    settings = told(container(helm, values, "operator"))
    assert settings["PERDURE_OPERATOR_RUNTIME_IMAGE"] == "mirror.example:5000/team/perdure-runtime:7"


def test_global_pull_secrets_of_either_form_are_added_once(helm: Helm) -> None:
    of_all = {"imagePullSecrets": ["all", {"name": "mirror"}, "own"]}
    values = {"global": of_all, "image": {"pullSecrets": ["own"]}}
    for kind, spec in specs(helm, values).items():
        assert spec["imagePullSecrets"] == [{"name": "own"}, {"name": "all"}, {"name": "mirror"}], kind


def test_other_charts_globals_are_left_alone(helm: Helm) -> None:
    assert helm.objects({"global": {"storageClass": "fast", "postgresql": {"auth": {}}}}) == helm.objects({})


def test_what_is_extra_comes_last(helm: Helm) -> None:
    operator: dict[str, Any] = {
        "extraArgs": ["--workers=40", "--log-level=DEBUG"],
        "extraEnv": [{"name": "SSL_CERT_FILE", "value": "/more/ca.pem"}],
        "extraVolumes": [{"name": "more", "configMap": {"name": "authorities"}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more", "readOnly": True}],
    }
    values = {"operator": operator}
    running = container(helm, values, "operator")
    assert running["args"] == operator["extraArgs"]
    assert specs(helm, values)["Deployment"]["volumes"][-1] == operator["extraVolumes"][0]
    for one in (running, container(helm, values, "migrate")):
        assert one["env"][-1] == operator["extraEnv"][0]
        assert one["volumeMounts"][-1] == operator["extraVolumeMounts"][0]
    assert "args" not in container(helm, {}, "operator")


def test_a_proxy_is_told_to_who_speaks_http_and_the_api_server_is_reached_without_it(helm: Helm) -> None:
    proxy = {"httpsProxy": "http://proxy.example:3128", "noProxy": [".example", "10.0.0.0/8"]}
    for name in ("operator", "share", "passwords", "check"):
        variables = told(container(helm, {"proxy": proxy}, name))
        assert variables["HTTPS_PROXY"] == "http://proxy.example:3128", name
        assert variables["NO_PROXY"] == "$(KUBERNETES_SERVICE_HOST),.svc,.example,10.0.0.0/8", name
        assert "HTTP_PROXY" not in variables, name
    assert not [one["name"] for one in containers(helm, {}) if {"HTTPS_PROXY", "NO_PROXY"} & set(told(one))]


def test_names_are_looked_up_on_the_ports_of_openshift_too(helm: Helm) -> None:
    values = {"networkPolicy": {"enabled": True, "workflows": {"namespaces": ["team-a"]}}}
    lookups = {("UDP", 53), ("TCP", 53), ("UDP", 5353), ("TCP", 5353)}
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind(helm, values, "NetworkPolicy")}
    assert len(policies) == 3
    for name, spec in policies.items():
        ports = {(port.get("protocol"), port["port"]) for rule in spec["egress"] for port in rule["ports"]}
        assert (ports & lookups == lookups) == (name != "perdure-postgres"), name


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"operator": {"extraArgs": "--workers=40"}}, "got string, want array"),
        ({"operator": {"serviceAccount": {"create": "no"}}}, "got string, want boolean"),
        ({"proxy": {"httpsProxy": "proxy.example:3128"}}, "does not match pattern"),
        ({"proxy": {"noProxy": "a,b"}}, "got string, want array"),
        ({"global": {"imageRegistry": "https://"}}, "does not match pattern"),
        ({"global": {"imagePullSecrets": [{"secret": "a"}]}}, "'anyOf' failed"),
    ],
)
def test_values_that_mean_nothing_are_refused(helm: Helm, values: Json, said: str) -> None:
    with pytest.raises(HelmFailed, match=said):
        helm.text(values)
