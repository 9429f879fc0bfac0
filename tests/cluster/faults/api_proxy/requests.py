"""What a request asks of the API server, in the API server's own terms, and patterns that pick requests by it.

The derivation is that of RequestInfoFactory in k8s.io/apiserver/pkg/endpoints/request/requestinfo.go.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_NAMESPACES = ("status", "finalize")  # subresources of a namespace, not resources in it
_FALSE = ("false", "0")


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request. Where it names no resource (discovery, /version), `verb` is its method in lower case."""

    method: str
    path: str
    """With its query, as it came."""
    verb: str
    """get, list, watch, create, update, patch, delete or deletecollection."""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    user_agent: str = ""


def describe(method: str, target: str, user_agent: str) -> ApiRequest:
    """Read a request from its method and its path with query."""
    url = urlsplit(target)
    query = parse_qs(url.query, keep_blank_values=True)
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    other = ApiRequest(method, target, method.lower(), user_agent=user_agent)
    if len(parts) < 3 or parts[0] not in ("api", "apis"):
        return other
    group = ""
    if parts.pop(0) == "apis":
        if len(parts) < 3:
            return other
        group = parts.pop(0)
    parts.pop(0)  # the version
    verb = _VERBS.get(method, "")
    if parts[0] in ("watch", "proxy"):
        if len(parts) < 2:
            return other
        verb = parts.pop(0)
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in _OF_NAMESPACES:
            parts = parts[2:]
    resource, name, subresource, *_ = [*parts, "", ""]
    if not name and verb == "get":
        verb = "watch" if query.get("watch", ["false"])[0].lower() not in _FALSE else "list"
    if not name and verb == "delete":
        verb = "deletecollection"
    if not name and verb in ("list", "watch", "deletecollection"):
        name = _name_selected(query.get("fieldSelector", [""])[0])
    return ApiRequest(method, target, verb, group, resource, subresource, namespace, name, user_agent)


def _name_selected(selector: str) -> str:
    for term in selector.split(","):
        key, _, value = term.partition("=")
        if key == "metadata.name":
            return value.removeprefix("=")
    return ""


@dataclass(frozen=True, slots=True)
class Requests:
    """A pattern of requests. What is not said is any; several values are alternatives."""

    verb: str | Collection[str] | None = None
    resource: str | Collection[str] | None = None
    subresource: str | Collection[str] | None = None
    """"" is the object itself."""
    namespace: str | Collection[str] | None = None
    name: str | Collection[str] | None = None
    """Of a list or watch: the name that its field selector picks."""
    user_agent: str | None = None
    """A part of it."""

    def match(self, request: ApiRequest) -> bool:
        """Whether the request is one of those."""
        return (
            _allows(self.verb, request.verb)
            and _allows(self.resource, request.resource)
            and _allows(self.subresource, request.subresource)
            and _allows(self.namespace, request.namespace)
            and _allows(self.name, request.name)
            and (self.user_agent is None or self.user_agent in request.user_agent)
        )


def _allows(wanted: str | Collection[str] | None, value: str) -> bool:
    return wanted is None or (wanted == value if isinstance(wanted, str) else value in wanted)


@dataclass(slots=True)
class Exchange:
    """A request and what became of it so far."""

    request: ApiRequest
    status: int | None = None
    """What the client got; None while it waits, and where it got a reset."""
    executed: int | None = None
    """What the API server answered; None where the request did not reach it."""
    passed: int = 0
    """How many events of a watch went on to the client, or bytes of another answer's body."""
    open: bool = True
    struck: list[str] = field(default_factory=list)
    """The names of the faults that struck it, in order."""
