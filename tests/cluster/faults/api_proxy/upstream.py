"""The way from the proxy to the real API server, with the credentials of the kubeconfig it was given."""

from __future__ import annotations

import base64
import secrets
import socket
import ssl
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml
from aiohappyeyeballs import AddrInfoType
from multidict import CIMultiDict
from yarl import URL

from .ends import Ends

# RFC 9110, 7.6.1: these concern one connection only. Host and Content-Length are written anew.
_OF_ONE_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
    }
)
_LONGEST_LINE = 1 << 20
"""Bytes in a request line or header: selectors and tokens may be long."""


class Upstream:
    """A real API server, and the user of a kubeconfig's current context.

    A user with a client certificate cannot be told through TLS that ends at the proxy: clients present `pass_token`
    in its place, and only requests with that go upstream with the certificate. All other credentials, and their
    absence, go through as they come.
    """

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        self.namespace: str | None = context.get("namespace")
        self.url = URL(cluster["server"].rstrip("/"))
        self.server_name: str | None = cluster.get("tls-server-name")
        self.pass_token = f"admin-by-way-of-the-proxy-{secrets.token_hex(16)}"
        self._nobody = self._nobody_tls(cluster, kubeconfig.parent)
        self._user = self._nobody
        certificate = _data(user, "client-certificate", kubeconfig.parent)
        self.user: dict[str, Any] = user
        """How clients of the proxy identify themselves, as a kubeconfig's user."""
        if certificate is not None:
            self.user = {"token": self.pass_token}
            self._user = self._nobody_tls(cluster, kubeconfig.parent)
            _load_certificate(self._user, certificate, _data(user, "client-key", kubeconfig.parent) or b"")
        self._ends = Ends()
        self._sessions: dict[ssl.SSLContext, aiohttp.ClientSession] = {}

    @staticmethod
    def _nobody_tls(cluster: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
        authority = _data(cluster, "certificate-authority", folder)
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    async def __aenter__(self) -> Self:
        for context in {self._nobody, self._user}:
            self._sessions[context] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=context, socket_factory=self._socket),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=30),
                auto_decompress=False,
                max_line_size=_LONGEST_LINE,
                max_field_size=_LONGEST_LINE,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        for session in self._sessions.values():
            await session.close()
        await self._ends.close()

    def _socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, *_ = address
        end = socket.socket(family, kind, protocol)
        self._ends.add(end)
        return end

    def credentials(self, headers: Mapping[str, str]) -> tuple[ssl.SSLContext, CIMultiDict[str]]:
        """The TLS to go upstream with, and the headers without those of one hop and without the proxy's own token.

        The API server prefers a certificate to a token, so a request that brings a token must go without.
        """
        kept = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _OF_ONE_HOP)
        if secrets.compare_digest(headers.get("Authorization", "").encode(), f"Bearer {self.pass_token}".encode()):
            del kept["Authorization"]
            return self._user, kept
        return self._nobody, kept

    def request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> aiohttp.client._RequestContextManager:
        """Send a request; `target` is path and query, as they came."""
        context, kept = self.credentials(headers)
        return self._sessions[context].request(
            method,
            URL(str(self.url) + target, encoded=True),
            headers=kept,
            data=body or None,
            allow_redirects=False,
            server_hostname=self.server_name,
        )


def end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """The headers of an answer that are the client's; its length, which is known to be right, is one of them."""
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() == "content-length" or name.lower() not in _OF_ONE_HOP
    )


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(item for item in items if item["name"] == name)


def _data(entry: Mapping[str, Any], key: str, folder: Path) -> bytes | None:
    """What a kubeconfig holds under `key` itself or in a file, relative to its own folder."""
    if inline := entry.get(f"{key}-data"):
        return base64.b64decode(inline)
    return (folder / entry[key]).read_bytes() if entry.get(key) else None


def _load_certificate(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:  # ssl reads certificates from files alone
        file.write(certificate + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name)
