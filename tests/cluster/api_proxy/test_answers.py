"""Without a fault nothing is changed on the way: answers, objects, and who asks; the proxy counts it all."""

from __future__ import annotations

import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml
from kubernetes import client

from tests.cluster.faults.api_proxy import ApiProxy, Requests
from tests.harness.eventually import eventually

from .clients import Api


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/apis",
        "/apis/apps/v1",
        "/version",
        "/openapi/v3",
        "/api/v1/namespaces/default",
        "/api/v1/namespaces?limit=1",
        "/api/v1/namespaces?labelSelector=a%20in%20(b%2Cc)",
        "/api/v1/namespaces/default/configmaps/no%2Fsuch",
        "/api/v1/namespaces/default/nonsense",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    ],
)
def test_answers_come_through_byte_for_byte(api: Api, direct: Api, path):
    def told(answer: urllib3.BaseHTTPResponse) -> tuple:
        per_request = ("date", "audit-id", "transfer-encoding")
        headers = sorted((k.lower(), v) for k, v in answer.headers.items() if k.lower() not in per_request)
        return answer.status, answer.reason, headers, answer.data

    def same(headers: dict[str, str]) -> bool:
        assert told(api.raw(path, headers=headers)) == told(direct.raw(path, headers=headers))
        return True

    for headers in ({}, {"accept-encoding": "gzip"}, {"accept": "application/yaml"}):
        eventually(partial(same, headers))  # a list tells the cluster's latest version, which may be raised in between


def test_objects_are_made_read_changed_and_deleted(api: Api, direct: Api, namespace: str):
    core = api.core
    api.create(namespace, "a", key="1")
    assert core.read_namespaced_config_map("a", namespace).data == {"key": "1"}
    core.patch_namespaced_config_map("a", namespace, {"data": {"key": "2"}})
    found = direct.core.read_namespaced_config_map("a", namespace)
    assert found.data == {"key": "2"}
    found.data = {"key": "3"}
    assert core.replace_namespaced_config_map("a", namespace, found).data == {"key": "3"}
    with pytest.raises(client.ApiException) as conflict:
        core.replace_namespaced_config_map("a", namespace, found)
    assert conflict.value.status == 409
    assert json.loads(conflict.value.body or "")["reason"] == "Conflict"
    core.delete_namespaced_config_map("a", namespace)
    assert direct.names(namespace) == set()


def test_a_server_side_apply_is_one(api: Api, namespace: str):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": "1"}}
    api.core.patch_namespaced_config_map(
        "a", namespace, body, field_manager="tests", force=True, _content_type="application/apply-patch+yaml"
    )
    managed = api.core.read_namespaced_config_map("a", namespace).metadata.managed_fields
    assert [(entry.manager, entry.operation) for entry in managed] == [("tests", "Apply")]


def test_who_asks_is_whose_token_it_is(cluster, proxy: ApiProxy, direct: Api, connect, namespace: str, tmp_path: Path):
    def user(kubeconfig: Path) -> str:
        reviews: Any = client.AuthenticationV1Api(connect(kubeconfig).client)
        return reviews.create_self_subject_review({}).status.user_info.username

    direct.core.create_namespaced_service_account(namespace, {"metadata": {"name": "somebody"}})
    token = direct.core.create_namespaced_service_account_token("somebody", namespace, {"spec": {}}).status.token
    theirs = proxy.kubeconfig(tmp_path / "theirs", token=token)
    assert user(theirs) == f"system:serviceaccount:{namespace}:somebody"
    with pytest.raises(client.ApiException) as forbidden:
        connect(theirs).core.list_namespaced_secret(namespace)
    assert forbidden.value.status == 403

    ours = proxy.kubeconfig(tmp_path / "ours")
    assert user(ours) == user(cluster.kubeconfig)

    nobody = proxy.kubeconfig(tmp_path / "nobody", token="wrong")
    with pytest.raises(client.ApiException) as unknown:
        connect(nobody).core.list_namespaced_secret(namespace)
    assert unknown.value.status == 401


def test_calls_are_counted_by_verb_and_status(proxy: ApiProxy, api: Api, namespace: str):
    api.create(namespace, "a")
    for _ in range(2):
        api.names(namespace)
    with pytest.raises(client.ApiException):
        api.core.read_namespaced_config_map("none", namespace)
    assert proxy.calls() == {("create", 201): 1, ("list", 200): 2, ("get", 404): 1}
    [exchange] = proxy.seen_of(Requests(verb="get", name="none", namespace=namespace))
    assert exchange.request.user_agent == api.client.user_agent
    assert exchange.executed == 404
    proxy.forget()
    assert proxy.seen == []


def test_a_proxy_leaves_no_thread_and_no_port(cluster, tmp_path: Path, connect):
    before = threading.active_count()
    with ApiProxy(cluster.kubeconfig) as proxy:
        there = connect(proxy.kubeconfig(tmp_path / "kubeconfig"))
        assert yaml.safe_load((tmp_path / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"] == proxy.url
        assert there.raw("/version").status == 200
    assert threading.active_count() == before
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        there.raw("/version")
