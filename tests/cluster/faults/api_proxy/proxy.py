"""The proxy as tests see it: a server in a thread of its own, with its own loop, and what it has seen."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import trustme
import yaml
from aiohttp import web

from .faults import Fault
from .relay import Relay, reset
from .requests import Exchange, Requests
from .rules import Rule, Rules
from .upstream import Upstream

T = TypeVar("T")

_LONGEST_LINE = 1 << 20


class ApiProxy:
    """Stands in front of the API server of a kubeconfig's current context, between `__enter__` and `__exit__`.

    It speaks HTTP/1.1 under TLS with a throw-away certificate: kubectl sends no credentials over plain HTTP. Clients
    that reach this machine otherwise than by loopback need a proxy with that address for its `host`.
    """

    def __init__(self, upstream: Path, *, host: str = "127.0.0.1") -> None:
        self._upstream = Upstream(upstream)
        self._host = host
        authority = trustme.CA()
        self._authority = authority.cert_pem.bytes()
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(host).configure_cert(self._tls)
        self._exchanges: list[Exchange] = []
        self._thread = threading.Thread(target=self._run, name="api-proxy", daemon=True)
        self._started: Future[None] = Future()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.result()
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    @property
    def url(self) -> str:
        return f"https://{self._host}:{self._port}"

    def kubeconfig(self, path: Path, *, token: str | None = None) -> Path:
        """Write a kubeconfig for clients of the proxy: as the user behind it, or as whose `token` it is."""
        authority = base64.b64encode(self._authority).decode()
        context = {"cluster": "proxy", "user": "proxy"}
        if self._upstream.namespace:
            context["namespace"] = self._upstream.namespace
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": "proxy", "user": self._upstream.user if token is None else {"token": token}}],
            "contexts": [{"name": "proxy", "context": context}],
            "current-context": "proxy",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    # --- faults

    def fault(
        self,
        fault: Fault,
        on: Requests = Requests(),  # noqa: B008 - frozen
        *,
        times: int | None = None,
        seconds: float | None = None,
        rate: float = 1.0,
        seed: int = 0,
    ) -> Rule:
        """Put a fault in force: on these requests, from now on, also within answers that are under way.

        Without a limit it lasts until the rule's `end()` or the end of its `with` block; with `seconds` so long at
        most, with `times` so many strikes. With a `rate` it strikes with that probability, drawn by `seed`. Faults
        apply in the order in which they were set, until one ends the exchange.
        """
        return self._rules.add(fault, on, times=times, seconds=seconds, rate=rate, seed=seed)

    @contextmanager
    def down(self) -> Iterator[None]:
        """Reset all connections and refuse new ones, until the end of the `with` block; then on the same port."""
        self._on_loop(self._refuse)
        try:
            yield
        finally:
            self._on_loop(self._listen)

    def cut_all(self) -> int:
        """Reset all connections now; how many there were. New ones are welcome."""
        return self._on_loop(self._reset_all) if self._thread.is_alive() else 0

    # --- what it saw

    @property
    def seen(self) -> list[Exchange]:
        """What went through or was struck so far, in the order in which it came."""
        return list(self._exchanges)

    def seen_of(self, on: Requests) -> list[Exchange]:
        return [exchange for exchange in self._exchanges if on.match(exchange.request)]

    def calls(self) -> Counter[tuple[str, int | None]]:
        """How many requests there were, by verb and status; the status is None where the client has or got none."""
        return Counter((exchange.request.verb, exchange.status) for exchange in self._exchanges)

    def forget(self) -> None:
        """Begin `seen` anew. Exchanges that are under way stay forgotten."""
        self._exchanges.clear()

    # --- the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._rules = Rules(self._loop)
        async with self._upstream:
            relay = Relay(self._upstream, self._rules, self._exchanges.append)
            application = web.Application(client_max_size=0)  # no limit: the API server has its own
            application.router.add_route("*", "/{path:.*}", relay.handle)
            application.on_response_prepare.append(_stay_unseen)
            self._runner = web.AppRunner(
                application,
                access_log=None,
                auto_decompress=False,
                handler_cancellation=True,  # a client that goes takes its request along
                max_line_size=_LONGEST_LINE,
                max_field_size=_LONGEST_LINE,
            )
            await self._runner.setup()
            self._socket = _bound(self._host, 0)
            self._port: int = self._socket.getsockname()[1]
            try:
                await self._listen()
                self._started.set_result(None)
                await self._stopping.wait()
            finally:
                await self._refuse()
                self._socket.close()
                await self._runner.cleanup()
                await relay.ends.close()

    async def _listen(self) -> None:
        self._site = web.SockSite(self._runner, self._socket, ssl_context=self._tls)
        await self._site.start()

    async def _refuse(self) -> None:
        if self._site in self._runner.sites:
            await self._site.stop()
            # A socket that does not listen keeps the port for us and refuses.
            self._socket = _bound(self._host, self._port)
        await self._reset_all()

    async def _reset_all(self) -> int:
        server = self._runner.server
        transports = [connection.transport for connection in server.connections] if server else []
        for transport in transports:
            reset(transport)
        return len(transports)

    def _on_loop(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result()


async def _stay_unseen(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)  # the API server sends none


def _bound(host: str, port: int) -> socket.socket:
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    end.bind((host, port))
    return end
