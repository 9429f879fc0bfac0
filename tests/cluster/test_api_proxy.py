from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import urllib3
import websocket
import yaml
from kubernetes import client, config
from kubernetes import watch as sync_watch
from kubernetes.aio import client as aio_client
from kubernetes.aio import config as aio_config
from kubernetes.aio import watch as aio_watch
from kubernetes.stream import stream

from tests.cluster import pods
from tests.cluster.faults.api_proxy import (
    Answer,
    ApiProxy,
    Cut,
    DelayEvents,
    DropEvents,
    DuplicateEvents,
    EndWatch,
    ErrorEvent,
    Fault,
    Latency,
    LoseAnswer,
    Requests,
    Reset,
    Stall,
)
from tests.cluster.faults.api_proxy.requests import ApiRequest, describe
from tests.harness.eventually import eventually

MINE = "api-proxy=test"  # a namespace has objects of others, too
WATCH = Requests(verb="watch", resource="configmaps")


class Api:
    """The synchronous client, without retries unless they are asked for."""

    def __init__(self, kubeconfig: Path, **options: Any) -> None:
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
        settings.retries = options.get("retries", False)
        self.client = client.ApiClient(settings)
        self.core: Any = client.CoreV1Api(self.client)

    def raw(self, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """GET without any part of the client that would read the answer."""
        headers = {**authorization(self.client.configuration), **options.pop("headers", {})}
        url = self.client.configuration.host + path
        options = {"decode_content": False, "retries": False, **options}
        return self.client.rest_client.pool_manager.request("GET", url, headers=headers, **options)

    def create(self, namespace: str, name: str, **data: str) -> None:
        meta = {"name": name, "labels": dict([MINE.split("=")])}
        self.core.create_namespaced_config_map(namespace, {"metadata": meta, "data": data})

    def names(self, namespace: str, **options: Any) -> set[str]:
        items = self.core.list_namespaced_config_map(namespace, label_selector=MINE, **options).items
        return {item.metadata.name for item in items}

    def close(self) -> None:
        self.client.rest_client.pool_manager.clear()
        self.client.close()


def authorization(settings: client.Configuration) -> dict[str, str]:
    """The header by which a client tells who it is; none if that is a certificate."""
    setting = settings.auth_settings().get("BearerToken")
    return {} if setting is None else {str(setting["key"]): str(setting["value"])}


def trust(kubeconfig: Path) -> ssl.SSLContext:
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())


class Watching:
    """A watch that a thread reads to its end."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.events: list[tuple[str, str | int]] = []
        self.ended: str | Exception | None = None
        self._answer = api.core.list_namespaced_config_map(
            namespace, watch=True, label_selector=MINE, _preload_content=False
        )
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        try:
            for line in sync_watch.watch.iter_resp_lines(self._answer):
                event = json.loads(line)
                what = event["object"]
                self.events.append(
                    (event["type"], what["code"] if event["type"] == "ERROR" else what["metadata"]["name"])
                )
            self.ended = "in order"
        except Exception as error:
            self.ended = error
        finally:
            self._answer.close()


@pytest.fixture
def proxy(cluster) -> Iterator[ApiProxy]:
    with ApiProxy(cluster.kubeconfig) as proxy:
        yield proxy


@pytest.fixture
def kubeconfig(proxy: ApiProxy, tmp_path: Path) -> Path:
    return proxy.kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture
def connect() -> Iterator[Callable[..., Api]]:
    apis: list[Api] = []

    def connected(kubeconfig: Path, **options: Any) -> Api:
        apis.append(Api(kubeconfig, **options))
        return apis[-1]

    yield connected
    for api in apis:
        api.close()


@pytest.fixture
def api(kubeconfig: Path, connect) -> Api:
    """A client of the proxy."""
    return connect(kubeconfig)


@pytest.fixture
def direct(cluster, connect) -> Api:
    """A client of the API server itself."""
    return connect(cluster.kubeconfig)


@pytest.fixture
def watching(api: Api, namespace: str, proxy: ApiProxy) -> Iterator[Callable[[], Watching]]:
    watches: list[Watching] = []

    def begin() -> Watching:
        watches.append(Watching(api, namespace))
        return watches[-1]

    yield begin
    proxy.cut_all()
    for watch in watches:
        watch.thread.join(10)
        assert not watch.thread.is_alive()


# --- what a request is


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


# --- nothing is changed on the way


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

    for headers in ({}, {"accept-encoding": "gzip"}, {"accept": "application/yaml"}):
        assert told(api.raw(path, headers=headers)) == told(direct.raw(path, headers=headers))


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


def test_an_event_passes_while_the_watch_goes_on(direct: Api, namespace: str, watching):
    watch = watching()
    direct.create(namespace, "a")
    eventually(lambda: watch.events == [("ADDED", "a")])
    direct.create(namespace, "b", large="x" * 900_000)
    eventually(lambda: watch.events == [("ADDED", "a"), ("ADDED", "b")])
    direct.core.delete_namespaced_config_map("a", namespace)
    eventually(lambda: watch.events[2:] == [("DELETED", "a")])
    assert watch.ended is None


def test_a_list_passes_no_faster_than_its_client_reads(proxy: ApiProxy, api: Api, direct: Api, namespace: str):
    for number in range(30):
        direct.create(namespace, f"large-{number}", data="x" * 900_000)
    answer = api.core.list_namespaced_config_map(namespace, label_selector=MINE, _preload_content=False)
    [exchange] = proxy.seen
    passed = [-1, exchange.passed]

    def stopped() -> bool:
        passed.append(exchange.passed)
        return passed[-1] == passed[-20:][0] > 0

    eventually(stopped)
    assert passed[-1] < 20_000_000  # what the buffers of the kernel hold
    items = json.loads(answer.read())["items"]
    assert len(items) == 30
    assert exchange.passed > 27_000_000


@pytest.fixture
def upgraded(proxy: ApiProxy, api: Api, kubeconfig: Path, namespace: str) -> Iterator[Callable[..., Any]]:
    """Watches over WebSocket: upgraded as exec and port-forward are, without a pod that runs."""
    opened = []

    def begin(options: str = "") -> Any:
        path = f"/api/v1/namespaces/{namespace}/configmaps?watch=1&labelSelector={MINE}{options}"
        opened.append(
            websocket.create_connection(
                proxy.url.replace("https", "wss") + path,
                header=authorization(api.client.configuration),
                sslopt={"context": trust(kubeconfig)},
                timeout=10,
            )
        )
        return opened[-1]

    yield begin
    for socket in opened:
        socket.shutdown()


def test_an_upgraded_connection_is_passed_on(proxy: ApiProxy, direct: Api, namespace: str, upgraded):
    socket = upgraded()
    for name in ("a", "b"):
        direct.create(namespace, name)
        assert json.loads(socket.recv())["object"]["metadata"]["name"] == name
    [exchange] = proxy.seen
    assert (exchange.request.verb, exchange.status, exchange.open) == ("watch", 101, True)
    assert exchange.passed > 0
    socket.close()
    eventually(lambda: not exchange.open)


def test_a_connection_that_its_client_never_closes_does_not_hold_the_proxy_up(proxy: ApiProxy, upgraded):
    upgraded("&timeoutSeconds=1")
    [exchange] = proxy.seen
    eventually(lambda: not exchange.open)
    begun = time.monotonic()
    proxy.__exit__()
    assert time.monotonic() - begun < 5


@pytest.fixture
def pod(cluster, namespace: str) -> str:
    """A pod that says what time it is, again and again."""
    code = "import time\nwhile True: print(time.time(), flush=True); time.sleep(0.2)"
    name = pods.create(cluster, namespace, pods.python(cluster, "talking", code))
    pods.until_running(cluster, namespace, name)
    return name


def test_logs_and_commands_of_a_pod_come_through(
    proxy: ApiProxy, kubeconfig: Path, api: Api, connect, namespace: str, pod: str
):
    logs = Requests(resource="pods", subresource="log", name=pod)
    answer = api.core.read_namespaced_pod_log(pod, namespace, follow=True, _preload_content=False)
    lines = sync_watch.watch.iter_resp_lines(answer)
    first, second = float(next(lines)), float(next(lines))
    assert 0.1 < second - first < 5
    with proxy.fault(Stall(), logs) as fault:
        eventually(lambda: fault.struck)
        [exchange] = proxy.seen_of(logs)
        before = exchange.passed
        command: Any = stream(
            connect(kubeconfig).core.connect_get_namespaced_pod_exec,
            pod,
            namespace,
            command=["sh", "-c", "read line; echo $line"],
            stdin=True,
            stdout=True,
            _preload_content=False,
        )
        command.write_stdin("there and back\n")
        command.run_forever(timeout=10)
        assert command.read_stdout(timeout=0) == "there and back\n"
        command.sock.shutdown()  # its close() does nothing once the other side has closed
        assert exchange.passed == before
    assert float(next(lines)) > second
    with proxy.fault(Cut(), logs) as fault:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            list(lines)
        assert fault.struck == 1
    answer.close()
    [upgraded] = proxy.seen_of(Requests(subresource="exec"))
    assert (upgraded.status, upgraded.struck) == (101, [])


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


# --- faults of whole requests


@pytest.mark.parametrize("code", [401, 403, 409, 410, 429, 500, 502, 503, 504])
def test_a_status_takes_the_place_of_the_answer(proxy: ApiProxy, api: Api, direct: Api, namespace: str, code):
    with proxy.fault(Answer(code), Requests(verb="create", namespace=namespace), times=1) as fault:
        assert api.names(namespace) == set()
        with pytest.raises(client.ApiException) as failed:
            api.create(namespace, "a")
        assert failed.value.status == json.loads(failed.value.body or "")["code"] == code
        assert fault.struck == 1
        assert direct.names(namespace) == set()
        api.create(namespace, "a")
    assert direct.names(namespace) == {"a"}
    assert [(e.status, e.executed, e.struck) for e in proxy.seen_of(fault.on)] == [
        (code, None, ["Answer"]),
        (201, 201, []),
    ]


def test_429_tells_when_to_come_back(proxy: ApiProxy, kubeconfig: Path, connect, namespace: str):
    patient = connect(kubeconfig, retries=None)  # urllib3 heeds Retry-After by itself
    with proxy.fault(Answer(429, retry_after=1), times=1) as fault:
        begun = time.monotonic()
        assert patient.names(namespace) == set()
        assert time.monotonic() - begun >= 1
        assert fault.struck == 1
    assert proxy.calls() == {("list", 429): 1, ("list", 200): 1}


def test_a_burst_lasts_for_a_number_of_requests_or_for_a_time(proxy: ApiProxy, api: Api, namespace: str):
    def status() -> int:
        return api.raw(f"/api/v1/namespaces/{namespace}/configmaps").status

    with proxy.fault(Answer(503), times=3) as fault:
        assert [status() for _ in range(4)] == [503, 503, 503, 200]
    assert fault.struck == 3
    begun = time.monotonic()
    fault = proxy.fault(Answer(500), seconds=0.5)
    assert status() == 500
    eventually(lambda: status() == 200)
    assert time.monotonic() - begun >= 0.5
    assert fault.struck >= 1


def test_latency_holds_each_request_back(proxy: ApiProxy, api: Api, namespace: str):
    with proxy.fault(Latency(0.3), Requests(verb="list")) as fault:
        begun = time.monotonic()
        api.names(namespace)
        api.names(namespace)
        assert time.monotonic() - begun >= 0.6
        assert fault.struck == 2
    begun = time.monotonic()
    api.names(namespace)
    assert time.monotonic() - begun < 0.3


def test_faults_add_up_in_the_order_in_which_they_were_set(proxy: ApiProxy, api: Api, namespace: str):
    with proxy.fault(Latency(0.2)), proxy.fault(Answer(503)) as first, proxy.fault(Answer(500)) as second:
        begun = time.monotonic()
        assert api.raw("/version").status == 503
        assert time.monotonic() - begun >= 0.2
        assert (first.struck, second.struck) == (1, 0)


def test_a_stalled_request_waits_until_the_fault_ends(proxy: ApiProxy, api: Api, direct: Api, namespace: str):
    with proxy.fault(Stall(), Requests(verb="create")) as fault:
        thread = threading.Thread(target=api.create, args=(namespace, "a"))
        thread.start()
        eventually(lambda: fault.struck)
        thread.join(0.3)
        assert thread.is_alive()
        assert direct.names(namespace) == set()
        assert api.names(namespace) == set()
    thread.join(10)
    assert direct.names(namespace) == {"a"}


def test_a_client_that_gives_up_takes_its_stalled_request_along(proxy: ApiProxy, api: Api, direct: Api, namespace: str):
    with proxy.fault(Stall(), Requests(verb="create")) as fault:
        body = {"metadata": {"name": "a"}}
        with pytest.raises(urllib3.exceptions.TimeoutError):
            api.core.create_namespaced_config_map(namespace, body, _request_timeout=0.3)
        [exchange] = proxy.seen_of(fault.on)
        eventually(lambda: not exchange.open)
    assert (exchange.status, exchange.executed) == (None, None)
    assert "a" not in direct.names(namespace)


def test_a_reset_request_was_not_carried_out(proxy: ApiProxy, api: Api, direct: Api, namespace: str):
    with proxy.fault(Reset(), Requests(verb="create"), times=1) as fault:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            api.create(namespace, "a")
        assert fault.struck == 1
        assert direct.names(namespace) == set()
        api.create(namespace, "a")


def test_a_request_whose_answer_is_lost_was_carried_out(proxy: ApiProxy, api: Api, direct: Api, namespace: str):
    with proxy.fault(LoseAnswer(), Requests(verb="create"), times=1) as fault:
        with pytest.raises(urllib3.exceptions.ProtocolError):
            api.create(namespace, "a")
        assert direct.names(namespace) == {"a"}
        api.create(namespace, "b")
    assert [(e.status, e.executed) for e in proxy.seen_of(fault.on)] == [(None, 201), (201, 201)]


@pytest.mark.parametrize("query", ["", "?watch=1"])
@pytest.mark.parametrize("fault", [Reset(), LoseAnswer(), Cut()])
def test_a_reset_is_one(proxy: ApiProxy, kubeconfig: Path, api: Api, namespace: str, fault: Fault, query: str):
    # Python's TLS tells synchronous clients of a reset as of an end that came too early; asyncio tells what it was.
    async def got() -> bytes:
        reader, writer = await asyncio.open_connection(*proxy.url[8:].split(":"), ssl=trust(kubeconfig))
        try:
            headers = {"Host": "proxy", **authorization(api.client.configuration)}
            head = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
            writer.write(f"GET /api/v1/namespaces/{namespace}/configmaps{query} HTTP/1.1\r\n{head}\r\n".encode())
            return await asyncio.wait_for(reader.readuntil(b"}\n"), 10)
        finally:
            writer.transport.abort()

    with proxy.fault(fault, Requests(resource="configmaps"), times=1) as rule:
        with pytest.raises(ConnectionResetError):
            asyncio.run(got())
        assert rule.struck == 1
    api.create(namespace, "a")
    assert b"200 OK" in asyncio.run(got())


def test_a_body_is_cut_after_so_many_bytes(proxy: ApiProxy, api: Api, direct: Api, namespace: str):
    direct.create(namespace, "a", data="x" * 100_000)
    path = f"/api/v1/namespaces/{namespace}/configmaps/a"
    whole = direct.raw(path).data
    with proxy.fault(Cut(after=50_000), Requests(verb="get", name="a"), times=1) as fault:
        answer = api.raw(path, preload_content=False)
        assert answer.status == 200
        got = b""
        with suppress(urllib3.exceptions.ProtocolError):
            while True:  # to the failure: at an end in order this would not end
                got += answer.read1() or b""
        assert got == whole[:50_000]
        assert fault.struck == 1
        assert api.raw(path).data == whole


def test_a_server_that_is_down_refuses_and_comes_back_at_the_same_place(
    proxy: ApiProxy, api: Api, namespace: str, watching
):
    watch = watching()
    with proxy.down():
        eventually(lambda: watch.ended)
        assert isinstance(watch.ended, urllib3.exceptions.ProtocolError)
        with pytest.raises(urllib3.exceptions.NewConnectionError) as refused:
            api.names(namespace)
        assert isinstance(refused.value.__cause__, ConnectionRefusedError)
    assert api.names(namespace) == set()


def test_chance_strikes_alike_with_the_same_seed(proxy: ApiProxy, api: Api):
    def struck(seed: int) -> list[bool]:
        with proxy.fault(Answer(500), rate=0.3, seed=seed) as fault:
            pattern = [api.raw("/version").status == 500 for _ in range(40)]
        assert fault.struck == sum(pattern)
        return pattern

    first, again, other = struck(1), struck(1), struck(2)
    assert first == again != other
    assert 0 < sum(first) < 40


def test_a_fault_can_be_for_one_client_alone(proxy: ApiProxy, kubeconfig: Path, connect):
    one, other = connect(kubeconfig), connect(kubeconfig)
    one.client.user_agent = "one/1.0"
    with proxy.fault(Answer(401), Requests(user_agent="one")):
        assert other.core.list_namespace(limit=1).items
        with pytest.raises(client.ApiException) as failed:
            one.core.list_namespace(limit=1)
        assert failed.value.status == 401


# --- faults within watches


@pytest.mark.parametrize("code", [403, 410, 500])
def test_an_error_event_ends_a_watch_that_has_long_been_open(
    proxy: ApiProxy, direct: Api, namespace: str, watching, code
):
    watch = watching()
    direct.create(namespace, "a")
    eventually(lambda: watch.events)
    with proxy.fault(ErrorEvent(code), WATCH, times=1) as fault:
        eventually(lambda: watch.ended)
        assert watch.events == [("ADDED", "a"), ("ERROR", code)]
        assert watch.ended == "in order"
        assert fault.struck == 1
        after = watching()
        eventually(lambda: after.events == [("ADDED", "a")])


def test_an_error_event_reaches_the_asynchronous_client(proxy: ApiProxy, kubeconfig: Path, direct: Api, namespace: str):
    for name in ("a", "b", "c"):
        direct.create(namespace, name)

    seen: list[str] = []
    note = seen.append

    async def watched() -> None:
        async with await aio_config.new_client_from_config(str(kubeconfig)) as api, aio_watch.Watch() as watch:
            core = aio_client.CoreV1Api(api)
            async for event in watch.stream(core.list_namespaced_config_map, namespace, label_selector=MINE):
                note(event["object"].metadata.name)

    with proxy.fault(ErrorEvent(500, after=2), WATCH, times=1) as fault:
        with pytest.raises(aio_client.ApiException) as failed:
            asyncio.run(watched())
        assert failed.value.status == 500
        assert fault.struck == 1
    assert seen == ["a", "b"]


OPERATOR = """
import kopf

@kopf.on.event("configmaps", labels={"api-proxy": "test"})
def seen(name, type, **_):
    print(f"<{type} {name}>", flush=True)
"""


def test_kopf_lists_again_when_its_watch_is_gone(
    proxy: ApiProxy, kubeconfig: Path, direct: Api, namespace: str, tmp_path: Path
):
    direct.create(namespace, "a")
    (tmp_path / "watcher.py").write_text(OPERATOR)
    output = tmp_path / "output"
    command = [sys.executable, "-m", "kopf", "run", "--standalone", f"--namespace={namespace}", "watcher.py"]
    lists = Requests(verb="list", resource="configmaps", user_agent="kopf")
    with output.open("wb") as file:
        kopf = subprocess.Popen(
            command, cwd=tmp_path, env={**os.environ, "KUBECONFIG": str(kubeconfig)}, stdout=file, stderr=file
        )
    try:
        watches = Requests(verb="watch", resource="configmaps", user_agent="kopf")
        eventually(lambda: [e for e in proxy.seen_of(watches) if e.status == 200], 30)
        assert output.read_text().count("<None a>") == len(proxy.seen_of(lists)) == 1
        with proxy.fault(ErrorEvent(410), watches, times=1) as fault:
            eventually(lambda: output.read_text().count("<None a>") == 2, 30)
            assert fault.struck == 1
            assert len(proxy.seen_of(lists)) == 2
    except AssertionError:
        print(output.read_text())
        raise
    finally:
        kopf.terminate()
        kopf.wait(30)


def test_a_dropped_event_is_never_seen(proxy: ApiProxy, direct: Api, namespace: str, watching):
    watch = watching()
    for name in ("a", "b"):
        direct.create(namespace, name)
    eventually(lambda: len(watch.events) == 2)
    with proxy.fault(DropEvents(type="DELETED", name="a"), WATCH) as fault:
        direct.core.delete_namespaced_config_map("a", namespace)
        direct.core.delete_namespaced_config_map("b", namespace)
        eventually(lambda: watch.events[2:] == [("DELETED", "b")])
        assert fault.struck == 1
    direct.create(namespace, "a")
    direct.core.delete_namespaced_config_map("a", namespace)
    eventually(lambda: watch.events[3:] == [("ADDED", "a"), ("DELETED", "a")])


def test_a_duplicated_event_comes_twice(proxy: ApiProxy, direct: Api, namespace: str, watching):
    watch = watching()
    with proxy.fault(DuplicateEvents(), WATCH, times=1) as fault:
        for name in ("a", "b"):
            direct.create(namespace, name)
        eventually(lambda: watch.events == [("ADDED", "a"), ("ADDED", "a"), ("ADDED", "b")])
        assert fault.struck == 1


def test_events_are_delayed_each(proxy: ApiProxy, direct: Api, namespace: str, watching):
    watch = watching()
    with proxy.fault(DelayEvents(0.3, type="ADDED"), WATCH) as fault:
        begun = time.monotonic()
        for name in ("a", "b"):
            direct.create(namespace, name)
        eventually(lambda: len(watch.events) == 2)
        assert time.monotonic() - begun >= 0.6
        assert fault.struck == 2
    assert watch.events == [("ADDED", "a"), ("ADDED", "b")]


def test_a_stalled_watch_is_open_and_silent(proxy: ApiProxy, direct: Api, namespace: str, watching):
    watch = watching()
    direct.create(namespace, "a")
    eventually(lambda: watch.events)
    with proxy.fault(Stall(), WATCH) as fault:
        eventually(lambda: fault.struck)
        direct.create(namespace, "b")
        watch.thread.join(0.5)
        assert watch.events == [("ADDED", "a")]
        assert watch.ended is None
    eventually(lambda: watch.events == [("ADDED", "a"), ("ADDED", "b")])


def test_a_new_watch_is_established_and_then_stalls(proxy: ApiProxy, direct: Api, namespace: str, watching):
    direct.create(namespace, "a")
    with proxy.fault(Stall(), WATCH) as fault:
        watch = watching()
        eventually(lambda: fault.struck)
        watch.thread.join(0.3)
        assert (watch.events, watch.ended) == ([], None)
        assert [exchange.status for exchange in proxy.seen_of(WATCH)] == [200]
    eventually(lambda: watch.events == [("ADDED", "a")])


def test_a_watch_is_reset(proxy: ApiProxy, direct: Api, namespace: str, watching):
    watch = watching()
    direct.create(namespace, "a")
    eventually(lambda: watch.events)
    with proxy.fault(Cut(), WATCH, times=1) as fault:
        eventually(lambda: watch.ended)
        assert isinstance(watch.ended, urllib3.exceptions.ProtocolError)
        assert fault.struck == 1
        after = watching()
        eventually(lambda: after.events == [("ADDED", "a")])


@pytest.mark.parametrize(
    ("fault", "ending"), [(Cut(after=2), "Response ended prematurely"), (EndWatch(after=2), "in order")]
)
def test_a_watch_ends_after_so_many_events(
    proxy: ApiProxy, direct: Api, namespace: str, watching, fault: Fault, ending
):
    with proxy.fault(fault, WATCH, times=1) as rule:
        watch = watching()
        for name in ("a", "b", "c"):
            direct.create(namespace, name)
        eventually(lambda: watch.ended)
    assert watch.events == [("ADDED", "a"), ("ADDED", "b")]
    assert str(watch.ended) == ending
    assert rule.struck == 1


def test_a_proxy_leaves_no_thread_and_no_port(cluster, tmp_path: Path, connect):
    before = threading.active_count()
    with ApiProxy(cluster.kubeconfig) as proxy:
        there = connect(proxy.kubeconfig(tmp_path / "kubeconfig"))
        assert yaml.safe_load((tmp_path / "kubeconfig").read_text())["clusters"][0]["cluster"]["server"] == proxy.url
        assert there.raw("/version").status == 200
    assert threading.active_count() == before
    with pytest.raises(urllib3.exceptions.NewConnectionError):
        there.raw("/version")
