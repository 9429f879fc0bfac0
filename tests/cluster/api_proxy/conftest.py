"""A proxy in front of the cluster, clients of both, and watches that end with the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.faults.api_proxy import ApiProxy

from .clients import Api, Watching


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
