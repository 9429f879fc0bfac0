"""Turns responses of the API server into JSON, or into the operator's errors."""

from __future__ import annotations

from typing import Any, NoReturn

from ..errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Expired,
    NotFound,
    Refused,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from . import deep_json
from .session import Response

__all__ = ["body_of"]

_RETRY_AFTER = 1.0
"""Seconds until the next try after a 429 without the header Retry-After."""

_SAID = 200
"""Most bytes of a response that is not a Status of the API, but of a proxy, perhaps."""


def body_of(call: str, answer: Response) -> dict[str, Any]:
    """The object in a response.

    Raises:
        ApiError: the response is an error.
    """
    if answer.status >= 400:
        _refuse(call, answer)
    try:
        body = deep_json.read(answer.data.decode())
    except ValueError as error:
        raise Unavailable(call, "the response is not JSON") from error
    if not isinstance(body, dict):
        raise Unavailable(call, "the response is not an object")
    return body


def _refuse(call: str, answer: Response) -> NoReturn:
    said, reason = _words(answer)
    match answer.status:
        case 429:
            raise TooManyRequests(call, said, _seconds(answer.headers.get("Retry-After")))
        case 409 if reason == "AlreadyExists":
            raise AlreadyExists(call, said)
        case 401 | 404 | 409 | 410:
            raise {401: Unauthorized, 404: NotFound, 409: Conflict, 410: Expired}[answer.status](call, said)
        case status if status >= 500:
            raise Unavailable(call, f"{status}: {said}")
        case 400 | 403 | 413 | 415 | 422:
            raise Refused(call, said)
        case status:
            raise ApiError(call, f"{status}: {said}")


def _words(answer: Response) -> tuple[str, object]:
    """The message and the reason of an error response."""
    try:
        body = deep_json.read(answer.data.decode())
        return str(body["message"]), body.get("reason")
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.data[:_SAID].decode(errors="replace") or f"status {answer.status}", None


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.strip().isdigit() else _RETRY_AFTER
