"""What the API server answered, as JSON or as an error of ours."""

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
from .session import Answer

__all__ = ["body_of"]

_RETRY_AFTER = 1.0
"""Seconds after which to come again where a 429 does not say."""

_SAID = 200
"""Bytes of an answer that is no Status of the API: of a proxy, perhaps."""


def body_of(asked: str, answer: Answer) -> dict[str, Any]:
    """The object that was answered with.

    Raises:
        ApiError: it is none.
    """
    if answer.status >= 400:
        _refuse(asked, answer)
    try:
        body = deep_json.read(answer.data.decode())
    except ValueError as error:
        raise Unavailable(asked, "the answer is no JSON") from error
    if not isinstance(body, dict):
        raise Unavailable(asked, "the answer is no object")
    return body


def _refuse(asked: str, answer: Answer) -> NoReturn:
    said, reason = _words(answer)
    match answer.status:
        case 429:
            raise TooManyRequests(asked, said, _seconds(answer.headers.get("Retry-After")))
        case 409 if reason == "AlreadyExists":
            raise AlreadyExists(asked, said)
        case 401 | 404 | 409 | 410:
            raise {401: Unauthorized, 404: NotFound, 409: Conflict, 410: Expired}[answer.status](asked, said)
        case status if status >= 500:
            raise Unavailable(asked, f"{status}: {said}")
        case 400 | 403 | 413 | 415 | 422:
            raise Refused(asked, said)
        case status:
            raise ApiError(asked, f"{status}: {said}")


def _words(answer: Answer) -> tuple[str, object]:
    """What it says, and the machine's word for that."""
    try:
        body = deep_json.read(answer.data.decode())
        return str(body["message"]), body.get("reason")
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.data[:_SAID].decode(errors="replace") or f"status {answer.status}", None


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.strip().isdigit() else _RETRY_AFTER
