"""kopf's connection to the API server: over it kopf watches, lists nothing, and meets nothing that it cannot read.

Before it watches, kopf lists all objects, page by page, each page as a whole: 500 Workflows may have hundreds of
megabytes. The resync lists them too, and one at a time. So of kopf's list nothing is wanted but its version, from which
the watch goes on; and somebody is told, for what was missed before that version has to be found in another way.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp
import kopf

from .kube import Credentials, deep_json

__all__ = ["connection"]

_NESTED: Final = 500
"""With fewer brackets an object is not nested too deeply for the parser."""

_NOBODY: Final = "metadata.name=NOBODY"
"""Selects nothing: no object has capitals in its name."""


def connection(credentials: Credentials, listed: Callable[[], None]) -> kopf.AiohttpSession:
    """A session for kopf, to be made in its loop; `listed` is called, there, whenever it has listed anew."""

    async def list_nothing(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        if "watch" in request.url.query:
            response = await send(request)
            response.content = _Readable(response.content)  # type: ignore[assignment]  # kopf asks it for chunks alone
            return response
        if "limit" not in request.url.query:
            return await send(request)
        request.url = request.url.update_query(fieldSelector=_NOBODY)
        response = await send(request)
        if response.status == 200:
            listed()
        return response

    info = _info(credentials)
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers=info.as_http_headers(),
        trust_env=True,
        middlewares=(list_nothing,),
    )
    return kopf.AiohttpSession(server=credentials.server, aiohttp_session=session)


class _Readable:
    """The lines of a watch, of which the parser can read each."""

    def __init__(self, content: aiohttp.StreamReader) -> None:
        self._content = content

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines."""
        begun: list[bytes] = []
        async for chunk in self._content.iter_chunked(size):
            *ended, rest = chunk.split(b"\n")
            for line in ended:
                yield _readable(b"".join([*begun, line])) + b"\n"
                begun.clear()
            begun.append(rest)


def _readable(line: bytes) -> bytes:
    if line.count(b"[") + line.count(b"{") < _NESTED:
        return line
    try:
        json.loads(line)
    except RecursionError:
        return json.dumps(deep_json.read(line.decode())).encode()
    except ValueError:
        pass  # it is for kopf to say so
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
