"""Calls of the Kubernetes API that cost their caller as little as Python can: raw JSON, over kept connections."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

from kubernetes import client, config

__all__ = ["Connection", "Json", "Server"]

Json = dict[str, Any]

_TIMEOUT = 60.0  # seconds


class Server:
    """An API server, as whoever has the token of a kubeconfig reaches it."""

    def __init__(self, kubeconfig: Path) -> None:
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
        address = urlsplit(settings.host)
        self.host, self.port = address.hostname or "", address.port or 443
        self.context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        token = settings.auth_settings()["BearerToken"]["value"] or ""
        self.headers = {"Accept": "application/json", "Authorization": token}

    def connect(self) -> Connection:
        """A connection, for one thread."""
        return Connection(self)


class Connection:
    """One request at a time; a context manager that closes it."""

    def __init__(self, server: Server) -> None:
        self._headers = server.headers
        self._http = http.client.HTTPSConnection(server.host, server.port, context=server.context, timeout=_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, method: str, path: str, body: Json, content: str = "application/json") -> bytes:
        """Send a body; the answer as it came.

        Raises:
            RuntimeError: it was refused.
        """
        self._http.request(method, path, json.dumps(body), {**self._headers, "Content-Type": content})
        response = self._http.getresponse()
        answer = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:500].decode(errors='replace')}")
        return answer

    def watch(self, path: str, **query: str) -> Iterator[bytes]:
        """The lines of a watch, until the server ends it."""
        self._http.timeout = None  # for long there may be nothing to tell
        self._http.request("GET", f"{path}?{urlencode({'watch': '1', **query})}", headers=self._headers)
        response = self._http.getresponse()
        if response.status >= 400:
            raise RuntimeError(f"watch {path}: {response.status} {response.read(500).decode(errors='replace')}")
        while line := response.readline():
            yield line
