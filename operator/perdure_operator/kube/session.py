"""Connections to the API server with the current credentials: from a kubeconfig, or of the operator's pod.

Credentials are replaced while the operator runs. For a moment there may be none; calls then fail as in an outage.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from ..errors import Misconfigured, Unavailable

__all__ = ["Credentials", "Request", "Response", "Session", "StreamedResponse"]

_log = logging.getLogger("perdure.operator.kube")

_CONNECT = 5.0  # seconds
_CHUNK = 256 * 1024  # bytes
_NEWER_CREDENTIALS = 5.0
"""Fewest seconds between two reads of the credentials."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Address and credentials of the API server, for the client of another library."""

    server: str
    authorization: str | None
    ca_path: str | None
    insecure: bool
    certificate_path: str | None
    key_path: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """A request; `call` names it in errors."""

    call: str
    method: str
    path: str
    body: dict[str, Any] | None
    content: str


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response, also of an error."""

    status: int
    headers: Mapping[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamedResponse:
    """A response of which only the head has arrived."""

    status: int
    headers: Mapping[str, str]
    content: aiohttp.StreamReader

    def chunks(self) -> AsyncIterator[bytes]:
        """The chunks of the body, as they arrive."""
        return aiter(self.content.iter_chunked(_CHUNK))

    async def whole(self) -> Response:
        """Read the whole response."""
        return Response(self.status, self.headers, await self.content.read())


class Session:
    """A client with credentials. To be opened before use; `clock` is monotonic."""

    def __init__(self, kubeconfig: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._kubeconfig = kubeconfig
        self._clock = clock
        self._client: ApiClient | None = None
        self._former: list[ApiClient] = []  # running calls may use them
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def open(self) -> None:
        """Read the credentials.

        Raises:
            Misconfigured: no credentials were found.
        """
        configuration = Configuration()
        try:
            if self._kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(client_configuration=configuration)  # reads the token every minute
            else:
                named = None if self._kubeconfig is None else str(self._kubeconfig)
                await config.load_kube_config(named, client_configuration=configuration, persist_config=False)
            # Otherwise aiohttp would read the environment and a .netrc with each request; neither concerns clusters.
            configuration.client_session_kwargs = {"trust_env": False}
            configuration.proxy = configuration.proxy or _proxy(configuration.host)
            opened = ApiClient(configuration)
        except (config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError) as error:
            # The library raises the last two for a file that is not a kubeconfig.
            raise Misconfigured(f"no credentials for a Kubernetes API: {error}") from error
        if self._client is not None:
            self._former.append(self._client)
        self._client, self._read_at = opened, self._clock()

    async def close(self) -> None:
        """Close all connections."""
        for client in [*self._former, *([self._client] if self._client else [])]:
            await client.close()

    async def credentials(self) -> Credentials:
        """The current credentials, read again unless they were read a moment ago."""
        await self.newer_credentials(self._clock())
        assert self._client is not None
        configuration = self._client.configuration
        header = (await configuration.auth_settings()).get("BearerToken")
        return Credentials(
            server=configuration.host,
            authorization=None if header is None else header["value"],
            ca_path=configuration.ssl_ca_cert,
            insecure=not configuration.verify_ssl,
            certificate_path=configuration.cert_file,
            key_path=configuration.key_file,
        )

    @asynccontextmanager
    async def arriving(self, request: Request, timeout: float) -> AsyncIterator[StreamedResponse]:
        """Send a request, and read the response as it arrives.

        Raises:
            Unavailable: no response, none in time, or an incomplete one.
        """
        assert self._client is not None
        headers = {"Accept": "application/json", "Content-Type": request.content, "User-Agent": "perdure-operator"}
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"], request.path, request.method, None)
            response = await self._client.call_api(
                request.method,
                self._client.configuration.host + request.path,
                headers,
                request.body,
                _request_timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT),
            )
            async with response.response as received:
                yield StreamedResponse(received.status, received.headers, received.content)
        except (aiohttp.ClientError, config.ConfigException, OSError) as error:  # a TimeoutError is an OSError
            raise Unavailable(request.call, f"{type(error).__name__}: {error}") from error

    async def newer_credentials(self, than: float) -> bool:
        """Whether there may be newer credentials than at a moment."""
        async with self._reading:
            if self._read_at > than:
                return True
            if self._clock() - self._read_at < _NEWER_CREDENTIALS:
                return False
            for former in self._former:
                await former.close()
            self._former.clear()
            try:
                await self.open()
            except Misconfigured as error:  # a token that is being replaced
                _log.warning("the credentials cannot be read now: %s", error)
                return False
        return True


def _proxy(server: str) -> str | None:
    """The proxy for a server by the environment."""
    address = urlsplit(server)
    return None if proxy_bypass(address.hostname or "") else getproxies().get(address.scheme)
