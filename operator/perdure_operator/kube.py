"""The Kubernetes API: paths and JSON in, JSON or an error of ours out. It alone knows the client library.

Every call has a timeout, is counted, and raises an `ApiError`; nothing is tried again here but a call with expired
credentials. Bodies are plain dictionaries: models of the whole API would cost seconds a list.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar
from urllib.parse import quote, urlencode

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from .errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    Misconfigured,
    NotFound,
    Refused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)

__all__ = [
    "CONFIG_MAPS",
    "EVENTS",
    "LEASES",
    "NAMESPACES",
    "PODS",
    "WORKFLOWS",
    "Calls",
    "Credentials",
    "Json",
    "Kube",
    "Resource",
]

Json = dict[str, Any]
T = TypeVar("T")

_log = logging.getLogger("perdure.operator.kube")

FIELD_MANAGER = "perdure"
PAGE = 500
"""Objects a page of a list: a few megabytes at most."""

_CONNECT = 5.0  # seconds
_PAGE_TIMEOUT = 30.0
_LIST_TRIES = 3
_RETRY_AFTER = 1.0
"""Seconds after which to come again where a 429 does not say."""

_NEWER_CREDENTIALS = 5.0
"""Shortest time in seconds between two readings of the credentials."""

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of objects: where they live, and their plural."""

    root: str
    plural: str

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The path of a collection, an object or a subresource."""
        parts = [self.root, *(["namespaces", quote(namespace)] if namespace else []), self.plural]
        return "/".join([*parts, *([quote(name)] if name else []), *([subresource] if subresource else [])])


WORKFLOWS = Resource("/apis/perdure.io/v1alpha1", "workflows")
PODS = Resource("/api/v1", "pods")
CONFIG_MAPS = Resource("/api/v1", "configmaps")
EVENTS = Resource("/api/v1", "events")
LEASES = Resource("/apis/coordination.k8s.io/v1", "leases")
NAMESPACES = Resource("/api/v1", "namespaces")


class Calls(Protocol):
    """Who counts calls."""

    def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """A call was answered with `code`, or `none` if there was no answer."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to reach the API server and be known to it, for a client of another library."""

    server: str
    authorization: str | None
    ca_path: str | None
    insecure: bool
    certificate_path: str | None
    key_path: str | None


class Kube:
    """A client; `open` it before use."""

    def __init__(self, kubeconfig: Path | None, calls: Calls, *, timeout: float = 10.0) -> None:
        self._kubeconfig = kubeconfig
        self._calls = calls
        self._timeout = timeout
        self._client: ApiClient | None = None
        self._former: list[ApiClient] = []  # calls may be under way on them
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def open(self) -> None:
        """Read the credentials: a kubeconfig's, or those of the pod.

        Raises:
            Misconfigured: there are none.
        """
        configuration = Configuration()
        try:
            if self._kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
                config.load_incluster_config(client_configuration=configuration)  # reads the token every minute
            else:
                named = None if self._kubeconfig is None else str(self._kubeconfig)
                await config.load_kube_config(named, client_configuration=configuration, persist_config=False)
            opened = ApiClient(configuration)
        except (config.ConfigException, OSError) as error:
            raise Misconfigured(f"no credentials for a Kubernetes API: {error}") from error
        if self._client is not None:
            self._former.append(self._client)
        self._client, self._read_at = opened, time.monotonic()

    async def close(self) -> None:
        """Close its connections."""
        for client in [*self._former, *([self._client] if self._client else [])]:
            await client.close()

    async def credentials(self) -> Credentials:
        """What it uses, read anew unless that was a moment ago."""
        await self._newer_credentials(time.monotonic())
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

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """An object as it is now."""
        return await self._call("get", resource, "GET", resource.path(namespace, name))

    async def listed(
        self, resource: Resource, read: Callable[[Json], T], *, namespace: str | None = None, selector: str = ""
    ) -> tuple[list[T], str]:
        """All objects as they were at one moment, each by `read`, and the version of that moment.

        Raises:
            ApiError: some of it could not be read, so none of it counts.
        """
        for _ in range(_LIST_TRIES - 1):
            with suppress(Expired):  # the moment has been forgotten since the first page
                return await self._pages(resource, read, namespace, selector)
        return await self._pages(resource, read, namespace, selector)

    async def _pages(
        self, resource: Resource, read: Callable[[Json], T], namespace: str | None, selector: str
    ) -> tuple[list[T], str]:
        found: list[T] = []
        query = {"limit": str(PAGE), **({"labelSelector": selector} if selector else {})}
        while True:
            page = await self._call(
                "list", resource, "GET", resource.path(namespace), query=query, timeout=_PAGE_TIMEOUT
            )
            found.extend(read(item) for item in page["items"])
            following = page["metadata"].get("continue")
            if not following:
                return found, page["metadata"]["resourceVersion"]
            query["continue"] = following

    async def create(self, resource: Resource, namespace: str, body: Json, *, strict: bool = False) -> Json:
        """Create an object; `strict`: a field that the server does not know is refused, not dropped."""
        query = {"fieldManager": FIELD_MANAGER, **({"fieldValidation": "Strict"} if strict else {})}
        return await self._call("create", resource, "POST", resource.path(namespace), body, query=query)

    async def replace(self, resource: Resource, namespace: str, name: str, body: Json, *, timeout: float) -> Json:
        """Put an object in the place of the one of the same resourceVersion, else Conflict."""
        path = resource.path(namespace, name)
        return await self._call("update", resource, "PUT", path, body, timeout=timeout)

    async def merge(self, resource: Resource, namespace: str, name: str, body: Json) -> Json:
        """Lay fields over an object."""
        return await self._call("patch", resource, "PATCH", resource.path(namespace, name), body, content=_MERGE)

    async def apply_status(self, resource: Resource, namespace: str, name: str, body: Json) -> Json:
        """Make `body` what this manager says of an object's status; Conflict if the object has another UID."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        path = resource.path(namespace, name, "status")
        return await self._call("apply", resource, "PATCH", path, body, query=query, content=_APPLY)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, grace: int | None = None
    ) -> Json:
        """Delete the object of this UID, and behind it what belongs to it; Conflict if it is another.

        The answer is the object, if it is to go, or a Status, if it has gone.
        """
        body: Json = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        return await self._call("delete", resource, "DELETE", resource.path(namespace, name), body)

    async def _call(
        self,
        verb: str,
        resource: Resource,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        timeout: float | None = None,
    ) -> Json:
        asked = f"{verb} {path.removeprefix(resource.root + '/')}"
        request = _Request(method, path + (f"?{urlencode(query)}" if query else ""), body, content)
        for last in (False, True):
            code, began = "none", time.monotonic()
            try:
                status, headers, data = await self._send(request, timeout or self._timeout)
                code = str(status)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                raise Unavailable(asked, f"{type(error).__name__}: {error}") from error
            finally:
                self._calls.called(verb, resource.plural, code, time.monotonic() - began)
            if status == 401 and not last and await self._newer_credentials(began):
                continue
            if status >= 400:
                _raise(asked, status, headers, data)
            return _parsed(asked, data)
        raise AssertionError("the second answer is the last")

    async def _send(self, request: _Request, timeout: float) -> tuple[int, Mapping[str, str], bytes]:
        assert self._client is not None
        headers = {"Accept": "application/json", "Content-Type": request.content, "User-Agent": "perdure-operator"}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], request.path, request.method, None)
        response = await self._client.call_api(
            request.method,
            self._client.configuration.host + request.path,
            headers,
            request.body,
            _request_timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=_CONNECT),
        )
        return response.status, response.headers, await response.read()

    async def _newer_credentials(self, than: float) -> bool:
        """Whether there may be newer ones than at a moment."""
        async with self._reading:
            if self._read_at > than:
                return True
            if time.monotonic() - self._read_at < _NEWER_CREDENTIALS:
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


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    body: Json | None
    content: str


def _parsed(asked: str, data: bytes) -> Json:
    try:
        answer: Json = json.loads(data)
    except ValueError as error:
        raise Unavailable(asked, "the answer is no JSON") from error
    return answer


def _raise(asked: str, status: int, headers: Mapping[str, str], data: bytes) -> NoReturn:
    try:
        answer = json.loads(data)
        said, reason = str(answer["message"]), answer.get("reason")
    except (ValueError, KeyError, TypeError, AttributeError):
        said, reason = data[:200].decode(errors="replace") or f"status {status}", None
    match status:
        case 429:
            raise TooManyRequests(asked, said, _seconds(headers.get("Retry-After")))
        case 409 if reason == "AlreadyExists":
            raise AlreadyExists(asked, said)
        case 401 | 404 | 409 | 410:
            raise {401: Unauthorized, 404: NotFound, 409: Conflict, 410: Expired}[status](asked, said)
        case _ if status >= 500:
            raise Unavailable(asked, f"{status}: {said}")
        case 400 | 403 | 413 | 415 | 422:
            raise Refused(asked, said)
        case _:
            raise ApiError(asked, f"{status}: {said}")


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.strip().isdigit() else _RETRY_AFTER
