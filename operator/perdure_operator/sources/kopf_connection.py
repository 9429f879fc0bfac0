"""kopf's connection to the API server. It empties kopf's lists, and makes each line of a watch readable for kopf.

kopf has one session for both watches, and closes it when one of them is unauthorized. What the other watch then does
must fail as kopf expects of a closed session; kopf ends after any other error.

Before a watch, kopf lists all objects in pages and keeps each page in memory: 500 Workflows may have hundreds of
megabytes. The resync lists the same objects one at a time. So a field selector that matches nothing leaves only the
list's version, from which the watch continues; `listed` is called, so that a resync finds earlier changes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from weakref import WeakSet

import aiohttp
import kopf

from perdure.pauses import Pauses

from ..kube import Credentials, deep_json

__all__ = ["WatchConnections"]

_NESTED: Final = 500
"""With fewer brackets an object is not nested too deeply for the parser."""

_NOBODY: Final = "metadata.name=NOBODY"
"""Selects nothing: no object has capitals in its name."""

_UNAUTHORIZED: Final = Pauses(0.5, 10.0)
"""kopf reads the credentials again and repeats an unauthorized request at once, however often it is unauthorized."""


class WatchConnections:
    """The connections of one run of kopf, made and closed in kopf's loop. `listed` is called there after each list."""

    def __init__(self, listed: Callable[[], None]) -> None:
        self._listed = listed
        self._sessions: list[aiohttp.ClientSession] = []
        self._answers: WeakSet[aiohttp.ClientResponse] = WeakSet()
        self._unauthorized = 0
        """Responses in a row."""

    def open(self, credentials: Credentials) -> kopf.AiohttpSession:
        """Open a session with these credentials."""
        info = _info(credentials)

        async def send(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            return await self._send(session, request, send)

        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            trust_env=True,
            middlewares=(send,),
        )
        self._sessions.append(session)
        return kopf.AiohttpSession(server=credentials.server, aiohttp_session=session)

    async def close(self) -> None:
        """Close all sessions and responses: kopf leaves watches open if it is stopped in the middle of an operation."""
        for answer in list(self._answers):
            answer.close()
        for session in self._sessions:
            await session.close()

    async def _send(
        self, session: aiohttp.ClientSession, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        lists = "limit" in request.url.query
        if lists:
            request.url = request.url.update_query(fieldSelector=_NOBODY)
        response = await self._sent(session, request, send)
        self._answers.add(response)
        if response.status == 401:
            self._unauthorized += 1
            if self._unauthorized > 1:  # the first time, newer credentials may be there
                await asyncio.sleep(_UNAUTHORIZED.after(self._unauthorized - 1))
        else:
            self._unauthorized = 0
        if "watch" in request.url.query:
            response.content = _Readable(response.content)  # type: ignore[assignment]  # kopf reads only chunks
        elif lists and response.status == 200:
            self._listed()
        return response

    async def _sent(
        self, session: aiohttp.ClientSession, request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send the request. If the session was closed meanwhile, raise what aiohttp raises for a closed session."""
        try:
            response = await send(request)
        except Exception as error:
            # aiohttp may fail with an AssertionError, or try again and fail with one.
            if session.closed:
                raise RuntimeError("the session was closed") from error
            raise
        # Both responses may arrive in one turn of the loop: the session was then closed after this response began.
        if session.closed:
            response.close()
            raise RuntimeError("the session was closed")
        return response


class _Readable:
    """The lines of a watch, changed where the JSON parser could not read one."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    def __getattr__(self, name: str) -> Any:
        # aiohttp sets attributes of the content when it closes the response. Without them the response would stay open.
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines.

        Raises:
            ClientConnectionError: the connection was lost, or the session was closed.
        """
        begun: list[bytes] = []
        try:
            async for chunk in self._content.iter_chunked(size):
                *ended, rest = chunk.split(b"\n")
                for line in ended:
                    yield _readable(b"".join([*begun, line])) + b"\n"
                    begun.clear()
                begun.append(rest)
        except RuntimeError as closed:  # aiohttp's error for a connection that was closed on this side
            raise aiohttp.ClientConnectionError(str(closed)) from closed


def _readable(line: bytes) -> bytes:
    if line.count(b"[") + line.count(b"{") < _NESTED:
        return line
    try:
        json.loads(line)
    except RecursionError:
        return json.dumps(deep_json.read(line.decode())).encode()
    except ValueError:
        pass  # kopf reports it
    return line


def _info(credentials: Credentials) -> kopf.ConnectionInfo:
    scheme, _, token = (credentials.authorization or "").partition(" ")
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_path,
        insecure=credentials.insecure,
        scheme=scheme or None,
        token=token or None,
        certificate_path=credentials.certificate_path,
        private_key_path=credentials.key_path,
    )
