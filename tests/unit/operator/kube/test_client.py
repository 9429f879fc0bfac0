"""What each verb asks of the API server, and how a long list is read."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from perdure_operator.errors import ApiError, Conflict, Expired, Refused, TooManyRequests, Unavailable
from perdure_operator.kube import CONFIG_MAPS, LEASES, PODS, WORKFLOWS, Json, Resource
from tests.unit.operator.kube.served import Served, served

LIST = "/apis/perdure.io/v1alpha1/workflows"


def page(*names: str, following: str | None = None, version: str = "100") -> Json:
    metadata = {"resourceVersion": version, **({} if following is None else {"continue": following})}
    return {"items": [{"metadata": {"name": name}} for name in names], "metadata": metadata}


def name_of(body: Json) -> str:
    return str(body["metadata"]["name"])


def listed(api: Served, resource: Resource = WORKFLOWS, **options: Any) -> tuple[list[str], str]:
    return api.run(api.kube.listed(resource, name_of, **options))


# Lists.


def test_a_list_is_read_page_by_page(api: Served) -> None:
    api.reply(200, page("a", "b", following="next/1"))
    api.reply(200, page("c", following="next/2"))
    api.reply(200, page("d"))
    assert listed(api) == (["a", "b", "c", "d"], "100")
    assert [asked.path for asked in api.asked] == [LIST] * 3
    limits = [(asked.query["limit"], asked.query.get("continue")) for asked in api.asked]
    assert limits == [("50", None), ("500", "next/1"), ("500", "next/2")]


def test_the_larger_the_objects_the_fewer_are_on_the_next_page(api: Served) -> None:
    large = page("a" * 1_400_000, "b" * 1_400_000, following="next/1")
    for body in (large, {**large, "metadata": {"continue": "next/2"}}, page("c")):
        api.reply(200, body)
    assert len(listed(api)[0]) == 5
    assert [asked.query["limit"] for asked in api.asked] == ["50", "2", "2"]


def test_of_a_list_one_object_is_parsed_at_a_time(api: Served) -> None:
    # Parsed, each has thirty times as much as this.
    item = b'{"metadata":{"name":"a"},"spec":{"x":[' + b"[]," * 30_000 + b"[]]}}"
    api.reply(200, b'{"items":[' + b",".join([item] * 20) + b'],"metadata":{"resourceVersion":"1"}}')
    tracemalloc.start()
    names, _ = listed(api)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert names == ["a"] * 20
    assert peak < 15_000_000


@pytest.mark.parametrize("deep", [b"[" * 9_000 + b"]" * 9_000, b'{"a":' * 9_000 + b"1" + b"}" * 9_000])
def test_an_object_that_is_nested_too_deeply_is_known_by_name(api: Served, deep: bytes) -> None:
    odd = b'{"metadata":{"managedFields":[{"f":' + deep + b'}],"name":"odd"},"spec":{"podTemplate":' + deep + b"}}"
    items = b'{"metadata":{"name":"a"}},' + odd + b',{"metadata":{"name":"c"}}'
    api.reply(200, b'{"items":[' + items + b'],"metadata":{"resourceVersion":"1"}}')
    assert listed(api)[0] == ["a", "odd", "c"]
    api.reply(200, odd)
    body = api.run(api.kube.get(WORKFLOWS, "shop", "odd"))
    assert body["spec"] == "it is nested too deeply"


@pytest.mark.parametrize("cut", [1, 20, 45, 60])
def test_a_list_that_ends_in_the_middle_is_none(api: Served, cut: int) -> None:
    whole = b'{"items":[{"metadata":{"name":"a"}}],"metadata":{"resourceVersion":"1"}}'
    api.reply(200, whole[:cut])
    with pytest.raises(Unavailable, match="not JSON"):
        listed(api)


def test_a_list_may_be_of_a_namespace_and_of_a_selection(api: Served) -> None:
    api.reply(200, page("a", following="next"))
    api.reply(200, page("b"))
    assert listed(api, PODS, namespace="shop", selector="perdure.io/workflow-uid") == (["a", "b"], "100")
    assert [asked.path for asked in api.asked] == ["/api/v1/namespaces/shop/pods"] * 2
    assert [asked.query["labelSelector"] for asked in api.asked] == ["perdure.io/workflow-uid"] * 2


def test_a_list_of_nothing_has_a_version(api: Served) -> None:
    api.reply(200, page(version="7"))
    assert listed(api) == ([], "7")


def test_a_list_whose_moment_is_forgotten_in_the_middle_is_read_anew(api: Served) -> None:
    api.reply(200, page("a", following="old"))
    api.refuse(410, "Expired", "The provided continue parameter is too old")
    api.reply(200, page("a", following="new", version="200"))
    api.reply(200, page("b", version="200"))
    assert listed(api) == (["a", "b"], "200")  # and nothing twice
    assert [asked.query.get("continue") for asked in api.asked] == [None, "old", None, "new"]


def test_a_list_that_is_never_done_in_time_is_given_up(api: Served) -> None:
    for _ in range(5):
        api.reply(200, page("a", following="old"))
        api.refuse(410, "Expired", "too old")
    with pytest.raises(Expired):
        listed(api)
    assert len(api.asked) == 6


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_half_a_list_is_none(api: Served, status: int) -> None:
    api.reply(200, page("a", following="next"))
    api.refuse(status, "", "no")
    with pytest.raises(ApiError):
        listed(api)
    assert len(api.asked) == 2


@pytest.mark.parametrize(
    "body", [{}, {"items": None, "metadata": {}}, {"items": []}, {"items": {}, "metadata": {}}, {"metadata": {}}]
)
def test_what_is_no_list_is_none_of_use(api: Served, body: Json) -> None:
    api.reply(200, body)
    with pytest.raises(Unavailable, match="list workflows: the response is not a list"):
        listed(api)


# Single objects.


def test_a_status_is_applied_by_one_manager_who_wins(api: Served) -> None:
    api.run(api.kube.apply_status(WORKFLOWS, "shop", "one", {"status": {}}))
    [asked] = api.asked
    assert (asked.method, asked.path) == ("PATCH", "/apis/perdure.io/v1alpha1/namespaces/shop/workflows/one/status")
    assert asked.query == {"fieldManager": "perdure", "force": "true", "fieldValidation": "Ignore"}
    assert asked.headers["Content-Type"] == "application/apply-patch+yaml"
    assert asked.body == {"status": {}}
    assert api.called == [("apply", "workflows", "200")]


def test_only_the_object_that_is_meant_is_deleted(api: Served) -> None:
    api.run(api.kube.delete(PODS, "shop", "one", uid="u-1"))
    api.run(api.kube.delete(PODS, "shop", "one", uid="u-1", grace=0))
    assert [asked.method for asked in api.asked] == ["DELETE", "DELETE"]
    assert api.asked[0].body == {"preconditions": {"uid": "u-1"}, "propagationPolicy": "Background"}
    assert api.asked[1].body["gracePeriodSeconds"] == 0


def test_a_lease_is_put_in_the_place_of_the_version_that_was_read(api: Served) -> None:
    api.refuse(409, "Conflict", "the object has been modified")
    body = {"metadata": {"resourceVersion": "5"}, "spec": {"holderIdentity": "me"}}
    with pytest.raises(Conflict):
        api.run(api.kube.replace(LEASES, "shop", "operator", body, timeout=5))
    [asked] = api.asked
    assert (asked.method, asked.path) == ("PUT", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/operator")
    assert asked.body == body


def test_fields_are_laid_over_an_object(api: Served) -> None:
    api.run(api.kube.merge(PODS, "shop", "one", {"metadata": {"labels": None}}))
    assert (api.asked[0].method, api.asked[0].headers["Content-Type"]) == ("PATCH", "application/merge-patch+json")
    assert api.asked[0].body == {"metadata": {"labels": None}}


# Names.


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../../team-b/configmaps/app-config",
        "..%2f..%2fteam-b",
        "a/b",
        "a%2Fb",
        "a?watch=true",
        "a#b",
        "a b",
        "a\n",
        "-a",
        "a-",
        "\u00e9",
        "a" * 254,
    ],
)
def test_a_name_that_is_no_segment_of_a_path_is_refused_before_anything_is_sent(api: Served, name: str) -> None:
    for namespace, given in (("shop", name), (name, "one")):
        with pytest.raises(Refused, match=r"is not the name(space)? of an object"):
            api.run(api.kube.get(CONFIG_MAPS, namespace, given))
    assert api.asked == []


@pytest.mark.parametrize("name", ["a", "app-config", "kube-root-ca.crt", "a" * 253])
def test_names_of_kubernetes_are_taken(api: Served, name: str) -> None:
    api.reply(200, {})
    api.run(api.kube.get(CONFIG_MAPS, "shop", name))
    assert [asked.path for asked in api.asked] == [f"/api/v1/namespaces/shop/configmaps/{name}"]


# A moment's trouble.


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Served]:
    """A client that tries again for as long as it does in the operator."""
    with served(tmp_path, patience=2.0) as stage:
        yield stage


def test_what_a_busy_server_turned_away_is_tried_again_when_it_says(patient: Served) -> None:
    patient.refuse(429, "TooManyRequests", "busy", Retry_After="0")
    patient.refuse(429, "TooManyRequests", "busy", Retry_After="1")
    patient.reply(201, {"kind": "Pod"})
    began = time.monotonic()
    assert patient.run(patient.kube.create(PODS, "shop", {})) == {"kind": "Pod"}
    assert time.monotonic() - began >= 1
    assert patient.called == [("create", "pods", "429"), ("create", "pods", "429"), ("create", "pods", "201")]


def refused_once(api: Served, call: Coroutine[Any, Any, Json], status: int, **headers: str) -> ApiError:
    """The error of a call that the server refuses, and that is not tried again; a second try would succeed."""
    api.refuse(status, "", "no", **headers)
    with pytest.raises(ApiError) as refused:
        api.run(call)
    assert len(api.asked) == 1
    return refused.value


def test_who_is_to_come_later_does_not_wait_here(patient: Served) -> None:
    refused = refused_once(patient, patient.kube.get(PODS, "shop", "one"), 429, Retry_After="3")
    assert isinstance(refused, TooManyRequests)


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_server_that_stays_in_trouble_is_left_to_the_work_queue(patient: Served, status: int) -> None:
    for _ in range(5):
        patient.refuse(status, "", "no", Retry_After="0")
    with pytest.raises(ApiError):
        patient.run(patient.kube.get(PODS, "shop", "one"))
    assert len(patient.asked) == 3


@pytest.mark.parametrize("status", [401, 500, 503])
def test_a_read_is_tried_again(patient: Served, status: int) -> None:
    patient.refuse(status, "", "no")
    patient.reply(200, {"kind": "Pod"})
    assert patient.run(patient.kube.get(PODS, "shop", "one")) == {"kind": "Pod"}


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 422])
def test_what_would_fail_again_is_not(patient: Served, status: int) -> None:
    refused_once(patient, patient.kube.get(PODS, "shop", "one"), status)


@pytest.mark.parametrize("status", [401, 500, 503])
def test_a_write_that_may_have_had_an_effect_is_not(patient: Served, status: int) -> None:
    refused_once(patient, patient.kube.create(PODS, "shop", {}), status)


def test_a_server_that_is_slow_to_fail_is_not_waited_for(patient: Served) -> None:
    async def slow(_: web.Request) -> web.StreamResponse:
        patient.sleep(3)
        return web.Response(status=503)

    patient.replies.append(slow)
    with pytest.raises(Unavailable):
        patient.run(patient.kube.get(PODS, "shop", "one"))
    assert len(patient.asked) == 1
