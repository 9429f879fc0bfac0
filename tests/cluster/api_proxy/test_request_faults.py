"""Faults of whole requests: what the client sees, and whether the API server carried it out."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3
from kubernetes import client

from tests.cluster.faults.api_proxy import Answer, ApiProxy, Cut, Fault, Latency, LoseAnswer, Requests, Reset, Stall
from tests.harness.eventually import eventually

from .clients import Api, authorization, trust


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
