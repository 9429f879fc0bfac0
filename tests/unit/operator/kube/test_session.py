"""Connections that break, servers that do not answer, and credentials that are replaced meanwhile."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from kubernetes.aio.config import incluster_config

from perdure_operator.errors import ApiError, Misconfigured, Unauthorized, Unavailable
from perdure_operator.kube import PODS, Kube
from tests.unit.operator.kube.served import Reply, Served, served


class NoCalls:
    def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
        pass


def get(api: Served) -> object:
    return api.run(api.kube.get(PODS, "shop", "one"))


def tokens(api: Served) -> list[str]:
    return [asked.headers["Authorization"] for asked in api.asked]


# No answer.


async def cut_at_once(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def cut_in_the_middle(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"metadata": ')
    assert request.transport is not None
    request.transport.close()
    return response


async def never(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def ever_slower(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("reply", [cut_at_once, cut_in_the_middle], ids=lambda reply: reply.__name__)
def test_a_connection_that_is_cut_is_no_answer(api: Served, reply: Reply) -> None:
    api.replies.append(reply)
    with pytest.raises(Unavailable):
        api.run(api.kube.create(PODS, "shop", {}))
    assert len(api.asked) == 1  # a creation is repeated by whoever knows what to look for first
    assert get(api) == {}  # over another connection
    assert api.called == [("create", "pods", "none"), ("get", "pods", "200")]


def test_a_server_that_cuts_every_connection_is_no_answer(api: Served) -> None:
    api.replies.extend([cut_at_once] * 3)
    with pytest.raises(Unavailable, match="ServerDisconnectedError"):
        get(api)


@pytest.mark.parametrize("reply", [never, ever_slower], ids=lambda reply: reply.__name__)
def test_a_call_has_its_time(tmp_path: Path, reply: Reply) -> None:
    with served(tmp_path, timeout=0.2) as api:
        api.replies.append(reply)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="TimeoutError"):
            get(api)
        assert 0.2 <= time.monotonic() - began < 10
        assert get(api) == {}
        assert api.called == [("get", "pods", "none"), ("get", "pods", "200")]


def test_a_server_that_is_not_there_is_no_answer(api: Served) -> None:
    api.run(api.server.close())
    with pytest.raises(Unavailable, match=r"get namespaces/shop/pods/one: ClientConnectorError"):
        get(api)


# What the environment says.


def test_a_proxy_of_the_environment_is_asked_unless_it_is_not_to_be(
    api: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, nowhere = str(api.server.make_url("/")).rstrip("/"), "http://127.0.0.1:1"
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(kubeconfig.read_text().replace(here, nowhere))
    monkeypatch.setenv("http_proxy", here)
    api.run(api.kube.open())
    get(api)
    assert api.asked[0].headers["Host"] == "127.0.0.1:1"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    api.run(api.kube.open())
    with pytest.raises(Unavailable, match="ClientConnectorError"):
        get(api)


def test_a_netrc_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with served(tmp_path) as api:
        get(api)
        assert tokens(api) == ["Bearer first"]


# Credentials.


def test_with_newer_credentials_a_call_is_made_once_more(api: Served) -> None:
    get(api)
    api.token("second")
    api.sleep(60)
    api.refuse(401, "Unauthorized", "the token has expired")
    assert get(api) == {}
    assert tokens(api) == ["Bearer first", "Bearer first", "Bearer second"]
    assert [code for _, _, code in api.called] == ["200", "401", "200"]
    get(api)
    assert tokens(api)[-1] == "Bearer second"


def test_credentials_that_are_refused_though_they_are_new_are_not_tried_for_ever(api: Served) -> None:
    api.sleep(60)
    for _ in range(2):
        api.refuse(401, "Unauthorized", "who are you?")
    with pytest.raises(Unauthorized, match="who are you"):
        get(api)
    assert len(api.asked) == 2


def test_credentials_are_not_read_at_every_refusal(api: Served) -> None:
    api.token("second")
    api.sleep(4)
    api.refuse(401, "Unauthorized", "no")
    with pytest.raises(Unauthorized):
        get(api)
    assert tokens(api) == ["Bearer first"]


def test_calls_that_are_refused_together_read_them_once(api: Served) -> None:
    api.token("second")
    api.sleep(60)
    for _ in range(3):
        api.refuse(401, "Unauthorized", "no")

    async def together() -> list[object]:
        return await asyncio.gather(*(api.kube.get(PODS, "shop", str(number)) for number in range(3)))

    opened: list[float] = []
    original = api.kube._session.open

    async def counted() -> None:
        opened.append(api.seconds[0])
        api.sleep(0.1)
        await original()

    api.kube._session.open = counted  # type: ignore[method-assign]
    assert api.run(together()) == [{}, {}, {}]
    assert tokens(api) == ["Bearer first"] * 3 + ["Bearer second"] * 3
    assert len(opened) == 1


def test_a_token_that_is_away_while_it_is_replaced_is_waited_for(api: Served) -> None:
    (api.folder / "token").unlink()
    api.sleep(60)
    api.refuse(401, "Unauthorized", "no")
    with pytest.raises(Unauthorized):
        get(api)
    api.token("second")
    api.sleep(60)
    api.refuse(401, "Unauthorized", "no")
    assert get(api) == {}
    assert tokens(api)[-1] == "Bearer second"


def test_another_library_gets_the_newest_credentials(api: Served) -> None:
    assert api.run(api.kube.credentials()).authorization == "Bearer first"
    api.token("second")
    assert api.run(api.kube.credentials()).authorization == "Bearer first"  # read a moment ago
    api.sleep(60)
    given = api.run(api.kube.credentials())
    assert given.authorization == "Bearer second"
    assert given.server == str(api.server.make_url("/")).rstrip("/")


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server, and what a pod has to reach it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    with served(tmp_path, tls=context, in_pod=True) as api:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(api.server.port))
        api.run(api.kube.open())
        yield api


def test_in_a_pod_the_token_is_the_mounted_one(pod: Served) -> None:
    assert get(pod) == {}
    pod.token("second")
    pod.sleep(60)
    pod.refuse(401, "Unauthorized", "no")
    assert get(pod) == {}
    assert tokens(pod) == ["bearer first", "bearer first", "bearer second"]


def test_in_a_pod_an_empty_token_is_waited_for(pod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one sees it that is just being written; the library reads it again every minute."""
    configuration = pod.kube._session._client.configuration  # type: ignore[union-attr]
    hook = configuration.refresh_api_key_hook
    loader = hook.__closure__[0].cell_contents
    monkeypatch.setattr(loader, "token_expires_at", loader.token_expires_at - loader._token_refresh_period)
    pod.token("")
    with pytest.raises(Unavailable, match="Token file exists but empty"):
        get(pod)
    pod.token("second")
    assert get(pod) == {}
    assert tokens(pod) == ["bearer second"]


@pytest.mark.parametrize("content", [None, "", "users: [", "apiVersion: v1\nkind: Config\n"])
def test_without_credentials_there_is_nothing_to_begin_with(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Misconfigured, match="no credentials for a Kubernetes API"):
        asyncio.run(Kube(path, NoCalls()).open())


def test_a_stranger_is_not_trusted(pod: Served, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    pod.run(pod.kube.open())
    with pytest.raises(ApiError, match="CERTIFICATE_VERIFY_FAILED"):
        get(pod)
