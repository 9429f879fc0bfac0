"""Faults within watches, as each client sees them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3
from kubernetes.aio import client as aio_client
from kubernetes.aio import config as aio_config
from kubernetes.aio import watch as aio_watch

from tests.cluster.faults.api_proxy import (
    ApiProxy,
    Cut,
    DelayEvents,
    DropEvents,
    DuplicateEvents,
    EndWatch,
    ErrorEvent,
    Fault,
    Requests,
    Stall,
)
from tests.harness.eventually import eventually

from .clients import MINE, WATCH, Api


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
        eventually(lambda: "<None a>" in output.read_text(), 30)  # a handler runs beside the watch
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
