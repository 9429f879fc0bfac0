"""kopf's connection to the API server."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from aiohttp import web

from perdure_operator.kube import Credentials
from perdure_operator.sources.kopf_connection import WatchConnections


@asynccontextmanager
async def served(lines: list[bytes]):
    """A server whose watches bring these lines and then stay open; its address."""

    async def watch(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for line in lines:
            await answer.write(line)
        await asyncio.sleep(60)
        return answer

    app = web.Application()
    app.router.add_get("/watched", watch)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name
    finally:
        await runner.cleanup()


def credentials(server: str) -> Credentials:
    return Credentials(server, None, None, insecure=True, certificate_path=None, key_path=None)


def test_a_watch_that_kopf_leaves_open_is_closed_with_the_connections() -> None:
    async def main() -> tuple[bool, bool]:
        async with served([b'{"type": "BOOKMARK"}\n']) as server:
            connections = WatchConnections(lambda: None)
            session = connections.open(credentials(server)).aiohttp_session
            answer = await session.get(f"{server}/watched", params={"watch": "true"})
            assert [chunk async for chunk in _first(answer.content.iter_chunked(100))] == [b'{"type": "BOOKMARK"}\n']
            before = answer.closed
            await connections.close()
            return before, answer.closed

    assert asyncio.run(main()) == (False, True)


async def _first(chunks):
    async for chunk in chunks:
        yield chunk
        return
