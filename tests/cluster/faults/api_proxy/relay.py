"""Passes requests on to the API server and answers back, piece by piece, and carries out the faults that strike.

It looks the rules up for each piece, so that a stream that has long been open is struck by a fault that is new.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import aiohttp
from aiohttp import web

from .ends import Ends
from .faults import (
    Answer,
    Cut,
    DelayEvents,
    DropEvents,
    DuplicateEvents,
    EndWatch,
    ErrorEvent,
    Latency,
    LoseAnswer,
    Moment,
    Point,
    Reset,
    Stall,
)
from .requests import Exchange, describe
from .rules import Rule, Rules
from .tunnel import tunnel
from .upstream import Upstream, end_to_end


class _Broken(Exception):
    """The client's connection is to be reset."""


class _Ended(Exception):
    """The answer is to end here, in order."""


class Relay:
    """What happens to each request. `record` is told of every exchange as it begins."""

    def __init__(self, upstream: Upstream, rules: Rules, record: Callable[[Exchange], None]) -> None:
        self._upstream = upstream
        self._rules = rules
        self._record = record
        self.ends = Ends()
        """The clients' connections."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        if request.transport is not None and not request.transport.is_closing():
            self.ends.add(request.transport.get_extra_info("socket"))
        exchange = Exchange(describe(request.method, request.raw_path, request.headers.get("User-Agent", "")))
        self._record(exchange)
        try:
            return await self._answer(request, exchange)
        # What the API server does to the proxy, the proxy does to its client.
        except (_Broken, aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
            await _flush(request.transport)
            reset(request.transport)
            return web.Response()  # for aiohttp alone: nobody is left to read it
        finally:
            exchange.open = False

    async def _answer(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        body = await request.read()
        for rule in self._rules.striking(exchange, Point(Moment.REQUEST, exchange.request.verb == "watch")):
            match rule.fault:
                case Answer() as fault:
                    exchange.status = fault.code
                    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                    return web.Response(
                        status=fault.code, body=fault.body(), headers=headers, content_type="application/json"
                    )
                case Latency(seconds):
                    await asyncio.sleep(seconds)
                case Stall():
                    await rule.ended.wait()
                case Reset():
                    raise _Broken
                case _:
                    pass  # strikes at other moments
        if "upgrade" in request.headers.get("Connection", "").lower():
            await tunnel(request, self._upstream, exchange)
            return web.Response()
        async with self._upstream.request(request.method, request.raw_path, request.headers, body) as answer:
            exchange.executed = answer.status
            watch = (
                exchange.request.verb == "watch" and answer.status == 200 and answer.content_type == "application/json"
            )
            for rule in self._rules.striking(exchange, Point(Moment.ANSWER, watch)):
                if isinstance(rule.fault, LoseAnswer):
                    raise _Broken
            response = web.StreamResponse(
                status=answer.status, reason=answer.reason, headers=end_to_end(answer.headers)
            )
            await response.prepare(request)
            exchange.status = answer.status
            await self._pass_on(answer, response, exchange, watch=watch)
            await response.write_eof()
            return response

    async def _pass_on(
        self, answer: aiohttp.ClientResponse, response: web.StreamResponse, exchange: Exchange, *, watch: bool
    ) -> None:
        """Pass a body on, until its end or that which a fault puts to it."""
        looked = 0
        async with aclosing(self._pieces(answer.content, watch=watch)) as pieces:
            async for piece in pieces:
                newest = self._rules.latest
                point = Point(Moment.STREAM, watch, exchange.passed, piece)
                copies = 1
                # With nothing at hand a rule is asked once, or one that strikes at random would strike by and by.
                for rule in self._rules.striking(exchange, point, newer_than=looked if piece is None else 0):
                    try:
                        copies *= await self._suffer(rule, point, response)
                    except _Ended:
                        return
                looked = newest
                if piece:
                    for _ in range(copies):
                        await response.write(piece)
                        exchange.passed += 1 if watch else len(piece)

    @staticmethod
    async def _suffer(rule: Rule, point: Point, response: web.StreamResponse) -> int:
        """Carry out a fault within a body; how many times the piece at hand is to pass."""
        match rule.fault:
            case Stall():
                await rule.ended.wait()
            case Cut(after):
                if point.piece and not point.watch:
                    await response.write(point.piece[: max(0, after - point.passed)])
                raise _Broken
            case ErrorEvent() as fault:
                await response.write(fault.line())
                raise _Ended
            case EndWatch():
                raise _Ended
            case DelayEvents(seconds=seconds):
                await asyncio.sleep(seconds)
            case DropEvents():
                return 0
            case DuplicateEvents():
                return 2
            case _:
                pass  # strikes at other moments
        return 1

    async def _pieces(self, content: aiohttp.StreamReader, *, watch: bool) -> AsyncGenerator[bytes | None, None]:
        """The events or bytes of a body; None at its start and when there is a new rule, b"" at its end."""
        pieces = _lines(content) if watch else content.iter_any()
        coming: asyncio.Future[bytes] | None = None
        try:
            changed = self._rules.changed
            yield None
            while True:
                coming = coming or asyncio.ensure_future(anext(pieces, b""))
                await asyncio.wait({coming, changed}, return_when=asyncio.FIRST_COMPLETED)
                if changed.done():
                    changed = self._rules.changed
                    yield None
                if coming.done():
                    piece, coming = coming.result(), None
                    yield piece
                    if not piece:
                        return
        finally:
            if coming is not None:
                coming.cancel()


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length, each as soon as it is whole."""
    begun: list[bytes] = []
    async for data in content.iter_any():
        *whole, rest = data.split(b"\n")
        for end in whole:
            yield b"".join((*begun, end, b"\n"))
            begun.clear()
        if rest:
            begun.append(rest)
    if begun:
        yield b"".join(begun)


async def _flush(transport: asyncio.BaseTransport | None) -> None:
    """Wait until what was written has left: a reset takes with it what has not."""
    for _ in range(100):
        if not isinstance(transport, asyncio.WriteTransport) or transport.is_closing():
            return
        if not transport.get_write_buffer_size():
            return
        await asyncio.sleep(0.01)


def reset(transport: asyncio.BaseTransport | None) -> None:
    """Close a connection so that its other end sees a reset (RST), not an end in order."""
    if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
        end = transport.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
