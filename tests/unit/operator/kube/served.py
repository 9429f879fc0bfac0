"""A small server on loopback that answers as a test says, and a client of it; it keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from perdure_operator.kube import Json, Kube

__all__ = ["Asked", "Reply", "Served", "served"]

T = TypeVar("T")
Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class Served:
    """The client, what it asked, and the clock by which it works.

    Attributes:
        replies: to the next requests, in order; after the last of them an empty object.
        called: what the client counted: verb, resource, code.
    """

    folder: Path
    runner: asyncio.Runner
    server: TestServer
    kube: Kube
    seconds: list[float]
    replies: deque[Reply] = field(default_factory=deque)
    asked: list[Asked] = field(default_factory=list)
    called: list[tuple[str, str, str]] = field(default_factory=list)

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """What comes of a call."""
        return self.runner.run(call)

    def reply(self, status: int = 200, body: Any = None, **headers: str) -> None:
        """Answer the next request with this; a text goes out as it is."""
        data = body if isinstance(body, bytes) else (body or "").encode() if isinstance(body, str) else None
        sent = json.dumps({} if body is None else body).encode() if data is None else data
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, body=sent, headers=named)

        self.replies.append(answer)

    def refuse(self, status: int, reason: str, message: str, **headers: str) -> None:
        """Answer the next request with a Status of the API."""
        body: Json = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": status}
        self.reply(status, body, **headers)

    def token(self, value: str) -> None:
        """Have the file of the token say this."""
        (self.folder / "token").write_text(value)

    def sleep(self, seconds: float) -> None:
        """Let the client's clock go on."""
        self.seconds[0] += seconds


@contextmanager
def served(
    folder: Path, *, tls: ssl.SSLContext | None = None, in_pod: bool = False, **options: Any
) -> Iterator[Served]:
    """The server, and a client that has opened its kubeconfig; `in_pod`: a client that is to open by itself.

    It calls once, unless the options have it be patient.
    """
    with asyncio.Runner() as runner:
        stage = runner.run(_started(folder, runner, tls, in_pod=in_pod, **options))
        try:
            yield stage
        finally:
            runner.run(_ended(stage))


async def _started(
    folder: Path, runner: asyncio.Runner, tls: ssl.SSLContext | None, *, in_pod: bool, **options: Any
) -> Served:
    async def answer(request: web.Request) -> web.StreamResponse:
        data = await request.read()
        body = json.loads(data) if data else None
        stage.asked.append(Asked(request.method, request.path, dict(request.query), dict(request.headers), body))
        reply = stage.replies.popleft() if stage.replies else None
        return web.json_response({}) if reply is None else await reply(request)

    class Calls:
        def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
            stage.called.append((verb, resource, code))

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(application, host="127.0.0.1")
    await server.start_server(ssl=tls, shutdown_timeout=0.1)
    seconds = [1000.0]
    path = None if in_pod else _kubeconfig(folder, str(server.make_url("/")).rstrip("/"))
    kube = Kube(path, Calls(), clock=lambda: seconds[0], **{"patience": -1.0, **options})
    stage = Served(folder, runner, server, kube, seconds)
    stage.token("first")
    if not in_pod:
        await kube.open()
    return stage


async def _ended(stage: Served) -> None:
    await stage.kube.close()
    await stage.server.close()


def _kubeconfig(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    body = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": url}}],
        "users": [{"name": "it", "user": {"tokenFile": str(folder / "token")}}],
    }
    path.write_text(yaml.safe_dump(body))
    return path
