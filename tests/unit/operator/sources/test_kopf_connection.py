"""kopf's connection to the API server."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
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

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=401)

    app = web.Application()
    app.router.add_get("/watched", watch)
    app.router.add_get("/refused", refuse)
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


def test_a_request_whose_session_is_closed_meanwhile_fails_as_one_of_a_closed_session() -> None:
    async def main() -> bool:
        async with served([]) as server:
            connections = WatchConnections(lambda: None)
            session = connections.open(credentials(server)).aiohttp_session
            asked = asyncio.ensure_future(session.get(f"{server}/watched"))
            await asyncio.sleep(0)  # it has begun, and has no connection yet
            await session.close()
            with pytest.raises(RuntimeError, match="session was closed"):  # kopf goes on after this error alone
                await asked
            return session.closed

    assert asyncio.run(main())


def test_a_response_that_arrives_as_its_session_is_closed_is_not_given_out() -> None:
    async def main() -> None:
        async with served([]) as server:
            connections = WatchConnections(lambda: None)
            session = connections.open(credentials(server)).aiohttp_session

            async def close(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
                response = await send(request)
                await session.close()  # as the other watch does in the same turn of the loop
                return response

            session._middlewares = (*session._middlewares, close)
            with pytest.raises(RuntimeError, match="session was closed"):
                await session.get(f"{server}/watched")

    asyncio.run(main())


def test_a_watch_whose_session_is_closed_ends_as_one_that_lost_its_connection() -> None:
    async def main() -> None:
        async with served([b'{"type": "BOOKMARK"}\n']) as server:
            connections = WatchConnections(lambda: None)
            session = connections.open(credentials(server)).aiohttp_session
            answer = await session.get(f"{server}/watched", params={"watch": "true"})
            lines = answer.content.iter_chunked(100)
            assert await anext(lines) == b'{"type": "BOOKMARK"}\n'
            await session.close()
            with pytest.raises(aiohttp.ClientConnectionError):
                await anext(lines)
            answer.close()

    asyncio.run(asyncio.wait_for(main(), 5))


def test_unauthorized_requests_pause_from_the_second_in_a_row_on() -> None:
    async def main() -> list[float]:
        async with served([]) as server:
            connections = WatchConnections(lambda: None)
            session = connections.open(credentials(server)).aiohttp_session
            took = []
            for _ in range(3):
                began = time.monotonic()
                async with session.get(f"{server}/refused") as refused:
                    assert refused.status == 401
                took.append(time.monotonic() - began)
            await connections.close()
            return took

    firsts = []
    for _ in range(3):
        first, second, third = asyncio.run(main())
        firsts.append(first)
        assert second >= 0.25  # half of a pause may be taken away
        assert third >= 0.5
    assert min(firsts) < 0.25
