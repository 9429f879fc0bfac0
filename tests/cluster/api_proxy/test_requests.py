"""What a request is: read as the API server reads it, and picked by what it is about."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.faults.api_proxy import Requests
from tests.cluster.faults.api_proxy.requests import ApiRequest, describe


@pytest.mark.parametrize(
    ("method", "target", "verb", "group", "resource", "subresource", "namespace", "name"),
    [
        ("GET", "/api/v1/pods", "list", "", "pods", "", "", ""),
        ("GET", "/api/v1/namespaces/a/pods?watch=true", "watch", "", "pods", "", "a", ""),
        ("GET", "/api/v1/namespaces/a/pods?watch=0", "list", "", "pods", "", "a", ""),
        ("GET", "/api/v1/watch/namespaces/a/pods", "watch", "", "pods", "", "a", ""),
        ("GET", "/api/v1/pods?watch=1&fieldSelector=metadata.name%3Db", "watch", "", "pods", "", "", "b"),
        ("GET", "/api/v1/namespaces/a/pods/b", "get", "", "pods", "", "a", "b"),
        ("GET", "/api/v1/namespaces/a/pods/b/log?follow=true", "get", "", "pods", "log", "a", "b"),
        ("POST", "/api/v1/namespaces/a/pods/b/eviction", "create", "", "pods", "eviction", "a", "b"),
        ("POST", "/apis/batch/v1/namespaces/a/jobs", "create", "batch", "jobs", "", "a", ""),
        ("PATCH", "/apis/x.io/v1/namespaces/a/runs/b/status", "patch", "x.io", "runs", "status", "a", "b"),
        ("PUT", "/apis/x.io/v1/namespaces/a/runs/b", "update", "x.io", "runs", "", "a", "b"),
        ("DELETE", "/api/v1/namespaces/a/pods/b", "delete", "", "pods", "", "a", "b"),
        ("DELETE", "/api/v1/namespaces/a/pods", "deletecollection", "", "pods", "", "a", ""),
        ("GET", "/api/v1/namespaces", "list", "", "namespaces", "", "", ""),
        ("GET", "/api/v1/namespaces/a", "get", "", "namespaces", "", "a", "a"),
        ("PUT", "/api/v1/namespaces/a/finalize", "update", "", "namespaces", "finalize", "a", "a"),
        ("GET", "/apis/batch/v1", "get", "", "", "", "", ""),
        ("GET", "/version", "get", "", "", "", "", ""),
    ],
)  # fmt: skip
def test_a_request_is_read_as_the_api_server_reads_it(
    method, target, verb, group, resource, subresource, namespace, name
):
    expected = ApiRequest(method, target, verb, group, resource, subresource, namespace, name, "me")
    assert describe(method, target, "me") == expected


def test_a_pattern_picks_by_each_thing_that_it_names():
    request = describe("GET", "/api/v1/namespaces/a/pods/b/log", "kubectl/v1.35")
    fitting: dict[str, Any] = {
        "verb": ("get", "list"), "resource": "pods", "subresource": "log", "namespace": {"a"}, "name": "b",
        "user_agent": "kubectl",
    }  # fmt: skip
    assert Requests(**fitting).match(request)
    for key in fitting:
        assert not Requests(**{**fitting, key: "other"}).match(request), key
    assert not Requests(subresource="").match(request)
