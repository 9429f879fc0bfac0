"""Verbs of the API on kinds of objects.

Every call has a timeout, is counted, and raises an `ApiError`. Retried here are calls with expired credentials, lists
that took too long, and for a moment reads and what a busy server turned away: a Workflow takes several calls in a row,
and one that fails costs all of them and a pause that doubles. Bodies are plain dictionaries: models of the whole API
would cost seconds for each list.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlencode

from ..errors import ApiError, Expired, Refused, TooManyRequests, Unauthorized, Unavailable
from .lists import ListReader
from .responses import body_of
from .session import Credentials, Request, Response, Session, StreamedResponse

__all__ = [
    "ACCESS_REVIEWS",
    "CONFIG_MAPS",
    "EVENTS",
    "LEASES",
    "NAMESPACES",
    "PODS",
    "TOKEN_REVIEWS",
    "WORKFLOWS",
    "Calls",
    "Json",
    "Kube",
    "Resource",
]

Json = dict[str, Any]
T = TypeVar("T")

FIELD_MANAGER = "perdure"
PAGE = 500
"""Most objects on a page of a list."""

_FIRST_PAGE = 50
_PAGE_BYTES = 4 * 1024 * 1024
"""The aim for the bytes of a page. The number of objects for it follows from the sizes on the page before."""

_SEGMENT = re.compile(r"[a-z0-9]([-a-z0-9.:_]{0,251}[a-z0-9])?", re.IGNORECASE)
"""The characters of object names in Kubernetes: DNS names, and a few more for some kinds."""

_PAGE_TIMEOUT = 30.0  # seconds
_LIST_TRIES = 3
_TRIES = 3
"""Of a call, at most."""

_READ_PAUSE = 0.2
"""Seconds between tries of a read."""

_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of objects: its group and version in the path, and its plural."""

    root: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str = "") -> str:
        """The path of a collection, an object or a subresource. All paths are made here.

        Names come from specs, annotations and owner references, which tenants write. A name that is not a single
        segment of a path could lead to another object, even in another namespace: clients resolve `..`, and the API
        server decodes `%2F` before it routes.

        Raises:
            Refused: `namespace` or `name` is not a valid name in Kubernetes.
        """
        parts = [self.root]
        if namespace is not None:
            parts += ["namespaces", self._segment(namespace, "namespace")]
        parts.append(self.plural)
        if name is not None:
            parts.append(self._segment(name, "name"))
        return "/".join([*parts, *([subresource] if subresource else [])])

    def _segment(self, text: str, what: str) -> str:
        if not _SEGMENT.fullmatch(text):
            raise Refused(f"path of {self.plural}", f"{text[:253]!r} is not the {what} of an object")
        return quote(text, safe="")


WORKFLOWS = Resource("/apis/perdure.io/v1alpha1", "workflows")
PODS = Resource("/api/v1", "pods")
CONFIG_MAPS = Resource("/api/v1", "configmaps")
EVENTS = Resource("/api/v1", "events")
LEASES = Resource("/apis/coordination.k8s.io/v1", "leases")
NAMESPACES = Resource("/api/v1", "namespaces")
TOKEN_REVIEWS = Resource("/apis/authentication.k8s.io/v1", "tokenreviews")
ACCESS_REVIEWS = Resource("/apis/authorization.k8s.io/v1", "subjectaccessreviews")


class Calls(Protocol):
    """Counts calls."""

    def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """A call was answered with `code`, or `none` if there was no answer."""


class Kube:
    """A client; `open` it before use.

    Args:
        kubeconfig: a file, or None for the credentials of the pod.
        calls: counts calls.
        timeout: of a call, in seconds.
        patience: seconds in which a call may be tried again. A longer wait belongs in the work queue, where others go
            ahead meanwhile.
        clock: in seconds.
    """

    def __init__(
        self,
        kubeconfig: Path | None,
        calls: Calls,
        *,
        timeout: float = 10.0,
        patience: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._calls = calls
        self._timeout = timeout
        self._patience = patience
        self._clock = clock
        self._session = Session(kubeconfig, clock)

    async def open(self) -> None:
        """Read the credentials: a kubeconfig's, or those of the pod.

        Raises:
            Misconfigured: there are none.
        """
        await self._session.open()

    async def close(self) -> None:
        """Close its connections."""
        await self._session.close()

    async def credentials(self) -> Credentials:
        """The current credentials, read again unless they were read a moment ago."""
        return await self._session.credentials()

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Json:
        """Read an object."""
        return await self._call("get", resource, "GET", resource.path(namespace, name))

    async def ask(self, resource: Resource, namespace: str | None) -> None:
        """List one object, to check that the API server responds."""
        await self._call("list", resource, "GET", resource.path(namespace), query={"limit": "1"})

    async def listed(
        self, resource: Resource, read: Callable[[Json], T], *, namespace: str | None = None, selector: str = ""
    ) -> tuple[list[T], str]:
        """All objects of one moment, each parsed by `read`, and the list's version.

        Raises:
            ApiError: a page could not be read, so the list is incomplete.
        """
        for _ in range(_LIST_TRIES - 1):
            with suppress(Expired):  # the server no longer has the moment of the first page
                return await self._pages(resource, read, namespace, selector)
        return await self._pages(resource, read, namespace, selector)

    async def _pages(
        self, resource: Resource, read: Callable[[Json], T], namespace: str | None, selector: str
    ) -> tuple[list[T], str]:
        found: list[T] = []
        query = {"limit": str(_FIRST_PAGE), **({"labelSelector": selector} if selector else {})}
        while True:
            before = len(found)
            page = await self._page(resource, resource.path(namespace) + f"?{urlencode(query)}", read, found)
            about = page.rest.get("metadata")
            if not page.listed or not isinstance(about, dict):  # the response of a proxy, perhaps
                raise Unavailable(f"list {resource.plural}", "the response is not a list")
            following = about.get("continue")
            if not following:
                return found, str(about.get("resourceVersion"))
            each = page.size // max(1, len(found) - before)
            query |= {"continue": following, "limit": str(max(1, min(PAGE, _PAGE_BYTES // max(1, each))))}

    async def _page(
        self, resource: Resource, path: str, read: Callable[[Json], T], found: list[T], *, again: bool = True
    ) -> ListReader:
        """Add the objects of a page to `found`, parsed one at a time: a parsed page of the largest would be too big."""
        call = f"list {resource.plural}"
        request = Request(call, "GET", path, None, "application/json")
        began = self._clock()
        async with self._answered("list", resource, request, _PAGE_TIMEOUT) as answer:
            if answer.status == 200:
                page = ListReader(answer.chunks())
                try:
                    async for item in page.items():
                        found.append(read(item))
                        del item  # frees it before the next one is parsed
                except ValueError as error:
                    raise Unavailable(call, "the response is not JSON") from error
                return page
            refused = await answer.whole()
        if refused.status == 401 and again and await self._session.newer_credentials(began):
            return await self._page(resource, path, read, found, again=False)
        body_of(call, refused)
        raise Unavailable(call, f"{refused.status}: the response is not a list")

    async def create(self, resource: Resource, namespace: str | None, body: Json, *, strict: bool = False) -> Json:
        """Create an object; `strict`: the server rejects unknown fields instead of dropping them."""
        query = {"fieldManager": FIELD_MANAGER, **({"fieldValidation": "Strict"} if strict else {})}
        return await self._call("create", resource, "POST", resource.path(namespace), body, query=query)

    async def ensure(self, resource: Resource, namespace: str, body: Json) -> Json:
        """Create an object, unless one of its name exists. That one stays as it is if `body` has only its identity.

        By server-side apply, whose request has the name: a role can then allow the creation of this one object.
        """
        name = str(body["metadata"]["name"])
        path = resource.path(namespace, name)
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("apply", resource, "PATCH", path, body, query=query, content=_APPLY)

    async def replace(self, resource: Resource, namespace: str, name: str, body: Json, *, timeout: float) -> Json:
        """Replace the object of the same resourceVersion; Conflict if it has changed."""
        path = resource.path(namespace, name)
        return await self._call("update", resource, "PUT", path, body, timeout=timeout)

    async def merge(self, resource: Resource, namespace: str, name: str, body: Json) -> Json:
        """Merge fields into an object."""
        return await self._call("patch", resource, "PATCH", resource.path(namespace, name), body, content=_MERGE)

    async def apply_status(self, resource: Resource, namespace: str, name: str, body: Json) -> Json:
        """Apply `body` as this field manager's part of an object's status; Conflict if the object has another UID."""
        # Server-side apply rejects unknown fields anyway, and strict validation before that takes time.
        query = {"fieldManager": FIELD_MANAGER, "force": "true", "fieldValidation": "Ignore"}
        path = resource.path(namespace, name, "status")
        return await self._call("apply", resource, "PATCH", path, body, query=query, content=_APPLY)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, grace: int | None = None
    ) -> Json:
        """Delete the object of this UID, and in the background its dependents; Conflict if it has another UID.

        Returns the object if its deletion has begun, or a Status if it is deleted.
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
        call = f"{verb} {path.removeprefix(resource.root + '/')}"
        request = Request(call, method, path + (f"?{urlencode(query)}" if query else ""), body, content)
        patience_ends = self._clock() + self._patience
        for _ in range(_TRIES - 1):
            try:
                return await self._tried(verb, resource, request, timeout)
            except ApiError as error:
                pause = _pause_before_another_try(request, error)
                if pause is None or self._clock() + pause > patience_ends:
                    raise
                await asyncio.sleep(pause)
        return await self._tried(verb, resource, request, timeout)

    async def _tried(self, verb: str, resource: Resource, request: Request, timeout: float | None) -> Json:
        began = self._clock()
        answer = await self._sent(verb, resource, request, timeout)
        if answer.status == 401 and await self._session.newer_credentials(began):
            answer = await self._sent(verb, resource, request, timeout)
        return body_of(request.call, answer)

    async def _sent(self, verb: str, resource: Resource, request: Request, timeout: float | None) -> Response:
        async with self._answered(verb, resource, request, timeout or self._timeout) as answer:
            return await answer.whole()

    @asynccontextmanager
    async def _answered(
        self, verb: str, resource: Resource, request: Request, timeout: float
    ) -> AsyncIterator[StreamedResponse]:
        """The response to a request, which is counted with its code."""
        code, began = "none", self._clock()
        try:
            async with self._session.arriving(request, timeout) as answer:
                yield answer
                code = str(answer.status)
        finally:
            self._calls.called(verb, resource.plural, code, self._clock() - began)


def _pause_before_another_try(request: Request, error: ApiError) -> float | None:
    """Seconds, or None where the call may have had an effect, or would fail again."""
    match error:
        case TooManyRequests():  # before the server did anything
            return error.retry_after
        case Unavailable() | Unauthorized() if request.method == "GET":
            return _READ_PAUSE
        case _:
            return None
