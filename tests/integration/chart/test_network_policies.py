"""What the NetworkPolicies for pods of Workflows let through: the clusters of the tests enforce none."""

from __future__ import annotations

from typing import Any

from perdure_operator.api.names import LABEL_INSTANCE, LABEL_WORKFLOW_UID
from tests.cluster.helm import Helm

DNS = {"ports": [{"port": port, "protocol": protocol} for port in (53, 5353) for protocol in ("UDP", "TCP")]}
"""In pods of OpenShift's DNS it is the second port, which counts."""


def policies(helm: Helm, **values: Any) -> dict[tuple[str, str], Any]:
    objects = helm.objects(values)
    found = [one for one in objects if one["kind"] == "NetworkPolicy"]
    return {(one["metadata"]["namespace"], one["metadata"]["name"]): one["spec"] for one in found}


def test_pods_of_workflows_reach_dns_and_the_store_and_nobody_reaches_them(helm: Helm):
    found = policies(helm, networkPolicy={"workflows": {"namespaces": ["team-a", "team-b"]}})
    name = "perdure.here-workflows"
    assert set(found) == {("team-a", name), ("team-b", name)}
    for spec in found.values():
        ours = [{"key": LABEL_WORKFLOW_UID, "operator": "Exists"}, {"key": LABEL_INSTANCE, "operator": "DoesNotExist"}]
        assert spec["podSelector"] == {"matchExpressions": ours}
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in spec
        dns, store = spec["egress"]
        assert dns == DNS
        assert store["ports"] == [{"port": 5432}]
        (to,) = store["to"]
        assert to["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "here"}}
        (postgres,) = [one for one in helm.objects({}) if one["kind"] == "StatefulSet"]
        assert to["podSelector"] == postgres["spec"]["selector"]


def test_and_what_the_values_name(helm: Helm):
    bank = {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}], "ports": [{"port": 443}]}
    bounds = {"databasePort": 6432, "workflows": {"namespaces": ["team-a"], "egress": [bank]}}
    (spec,) = policies(helm, networkPolicy=bounds, database={"existingSecret": "store"}).values()
    assert spec["egress"] == [DNS, {"ports": [{"port": 6432}]}, bank]


def test_where_releases_share_a_cluster_each_bounds_its_own_pods(helm: Helm):
    bounds = {"workflows": {"namespaces": ["team-a"]}}
    (spec,) = policies(helm, networkPolicy=bounds, operator={"instance": "blue"}).values()
    (_, of_instance) = spec["podSelector"]["matchExpressions"]
    assert of_instance == {"key": LABEL_INSTANCE, "operator": "In", "values": ["blue"]}


def test_the_operator_reaches_the_store_by_the_same_rule(helm: Helm):
    found = policies(helm, networkPolicy={"enabled": True, "workflows": {"namespaces": ["team-a"]}})
    of_operator, of_workflows = found["here", "perdure-operator"], found["team-a", "perdure.here-workflows"]
    assert of_operator["egress"][-1] == of_workflows["egress"][-1]
    assert not policies(helm, networkPolicy={"enabled": False})
