"""The faults, each a value that says what happens and at which points of a request it can happen.

They know nothing of sockets: `relay` carries them out. Whom they strike, and how often, is said by a rule.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, TypeAlias

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}
_MESSAGES = {
    401: "Unauthorized",
    410: "too old resource version: 1 (2)",
    429: "too many requests, please try again later",
    503: "the server is currently unable to handle the request",
}


def status_object(code: int, *, retry_after: int | None = None) -> dict[str, Any]:
    """A Status of the API, as the API server puts it into failures and ERROR events."""
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": _MESSAGES.get(code, f"injected fault: {code}"),
        "reason": _REASONS.get(code, ""),
        "code": code,
    }
    if retry_after is not None:
        status["details"] = {"retryAfterSeconds": retry_after}
    return status


class Moment(Enum):
    """When in an exchange a fault is asked for."""

    REQUEST = 0
    """The request is here, and has not gone to the API server."""
    ANSWER = 1
    """The API server has done its work and answered, and the client has seen nothing of it."""
    STREAM = 2
    """The head of the answer has passed: before each piece of its body, and whenever a fault is new."""


@dataclass(frozen=True)
class Point:
    """Where an exchange stands."""

    moment: Moment
    watch: bool
    """Whether what streams are the events of a watch."""
    passed: int = 0
    """Events of a watch or bytes of another body that have passed."""
    piece: bytes | None = None
    """The event or the bytes that would go next, empty at the end of the body; None while there is none."""

    @cached_property
    def event(self) -> dict[str, Any]:
        """The event that would go next; empty if there is none."""
        return json.loads(self.piece) if self.watch and self.piece else {}


# --- a whole request


@dataclass(frozen=True, slots=True)
class Answer:
    """Answers with this HTTP status in place of the API server, which sees nothing of the request."""

    code: int
    retry_after: int | None = None
    """Seconds, for the header and the Status."""

    def strikes(self, point: Point) -> bool:
        return point.moment is Moment.REQUEST

    def body(self) -> bytes:
        return json.dumps(status_object(self.code, retry_after=self.retry_after)).encode()


@dataclass(frozen=True, slots=True)
class Reset:
    """Resets the connection; the API server sees nothing of the request."""

    def strikes(self, point: Point) -> bool:
        return point.moment is Moment.REQUEST


@dataclass(frozen=True, slots=True)
class Latency:
    """Holds a request back for so many seconds before the API server sees it."""

    seconds: float

    def strikes(self, point: Point) -> bool:
        return point.moment is Moment.REQUEST


@dataclass(frozen=True, slots=True)
class LoseAnswer:
    """Lets the API server carry the request out, and resets the connection in place of the answer."""

    def strikes(self, point: Point) -> bool:
        return point.moment is Moment.ANSWER


@dataclass(frozen=True, slots=True)
class Stall:
    """Keeps the connection open and passes nothing on until the fault ends or the client goes; then all goes on.

    A watch stalls once it is established, another request before the API server sees it, an answer under way at once.
    """

    def strikes(self, point: Point) -> bool:
        return point.moment is Moment.STREAM or (point.moment is Moment.REQUEST and not point.watch)


# --- what streams


@dataclass(frozen=True, slots=True)
class Cut:
    """Resets the connection once the head and `after` events of a watch, or bytes of another body, have passed."""

    after: int = 0

    def strikes(self, point: Point) -> bool:
        if point.moment is not Moment.STREAM:
            return False
        return point.passed >= self.after or (not point.watch and point.passed + len(point.piece or b"") > self.after)


@dataclass(frozen=True, slots=True)
class EndWatch:
    """Ends a watch in order, as the API server does when its time is over."""

    after: int = 0
    """How many events of the watch pass first."""

    def strikes(self, point: Point) -> bool:
        return point.moment is Moment.STREAM and point.watch and point.passed >= self.after


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """Sends an ERROR event with a Status of this code and ends the watch."""

    code: int
    after: int = 0
    """How many events of the watch pass first."""

    def strikes(self, point: Point) -> bool:
        return point.moment is Moment.STREAM and point.watch and point.passed >= self.after

    def line(self) -> bytes:
        return json.dumps({"type": "ERROR", "object": status_object(self.code)}).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class _Events:
    """Picks events of a watch."""

    type: str | None = field(default=None, kw_only=True)
    """ADDED, MODIFIED, DELETED or BOOKMARK."""
    name: str | None = field(default=None, kw_only=True)
    """Of the object."""

    def strikes(self, point: Point) -> bool:
        if point.moment is not Moment.STREAM or not point.event:
            return False
        name = point.event["object"].get("metadata", {}).get("name")
        return self.type in (None, point.event["type"]) and self.name in (None, name)


@dataclass(frozen=True, slots=True)
class DropEvents(_Events):
    """Takes events out of a watch."""


@dataclass(frozen=True, slots=True)
class DuplicateEvents(_Events):
    """Sends events of a watch twice."""


@dataclass(frozen=True, slots=True)
class DelayEvents(_Events):
    """Holds events of a watch back for so many seconds, and with each those that come after it."""

    seconds: float


Fault: TypeAlias = (
    Answer
    | Reset
    | Latency
    | LoseAnswer
    | Stall
    | Cut
    | EndWatch
    | ErrorEvent
    | DropEvents
    | DuplicateEvents
    | DelayEvents
)
