"""What comes bit by bit passes as it comes: watches, long lists, upgraded connections, logs and commands of pods."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
import websocket
from kubernetes import watch as sync_watch
from kubernetes.stream import stream

from tests.cluster import pods
from tests.cluster.faults.api_proxy import ApiProxy, Cut, Requests, Stall
from tests.harness.eventually import eventually

from .clients import MINE, Api, authorization, trust


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
