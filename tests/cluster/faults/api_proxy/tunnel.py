"""Upgraded connections (exec, attach, port-forward; WebSocket or SPDY): bytes passed on as they come, both ways."""

from __future__ import annotations

import asyncio
from typing import cast

from aiohttp import web

from .requests import Exchange
from .upstream import Upstream

_MOST = 1 << 16


class _Client(asyncio.StreamReaderProtocol):
    """Takes over a client's connection from aiohttp, which still learns that it is lost and then ends the handler."""

    def __init__(self, reader: asyncio.StreamReader, before: asyncio.Protocol) -> None:
        super().__init__(reader)
        self._before = before

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._before.connection_lost(exc)


async def tunnel(request: web.Request, upstream: Upstream, exchange: Exchange) -> None:
    """Repeat the request upstream and pass on all that follows, the answer's head included, until one side ends."""
    context, headers = upstream.credentials(request.headers)
    url = upstream.url
    server_reader, server_writer = await asyncio.open_connection(
        url.host, url.port, ssl=context, server_hostname=upstream.server_name or url.host
    )
    try:
        headers["Host"] = url.authority
        headers["Connection"] = request.headers["Connection"]
        headers["Upgrade"] = request.headers["Upgrade"]
        headers["Content-Length"] = request.headers.get("Content-Length", "0")
        lines = [f"{request.method} {request.raw_path} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items()), "", ""]
        server_writer.write("\r\n".join(lines).encode())

        transport = cast("asyncio.Transport", request.transport)
        # No client sends what is not HTTP before it has the answer, so aiohttp holds none of it.
        client_reader = asyncio.StreamReader()
        protocol = _Client(client_reader, cast("asyncio.Protocol", request.protocol))
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        client_writer = asyncio.StreamWriter(transport, protocol, client_reader, asyncio.get_running_loop())

        head = await server_reader.readuntil(b"\r\n\r\n")
        exchange.status = exchange.executed = int(head.split(None, 2)[1])
        client_writer.write(head)
        ways = [
            asyncio.ensure_future(_pass_on(client_reader, server_writer)),
            asyncio.ensure_future(_pass_on(server_reader, client_writer, exchange)),
        ]
        try:
            # TLS has no half-closed connections: when one side ends, so does the other.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            transport.close()
    finally:
        server_writer.transport.abort()


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, exchange: Exchange | None = None) -> None:
    while data := await source.read(_MOST):
        sink.write(data)
        await sink.drain()
        if exchange is not None:
            exchange.passed += len(data)
