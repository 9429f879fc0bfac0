"""All errors that the operator raises, in one tree.

    OperatorError(PerdureError)
    ├── Misconfigured          settings with which the operator cannot work; the message names each
    └── ApiError               a request to the API server failed
        ├── NotFound             404
        ├── Conflict             409: the object has another UID, or a newer version
        │   └── AlreadyExists      409: an object of this name exists
        ├── Expired              410: the list's continuation is too old
        ├── Refused              400, 403, 422: the request fails until its cause is mended
        ├── Unauthorized         401, with credentials that were just read
        ├── TooManyRequests      429: with the time to try again
        └── Unavailable          5xx, no connection, no response in time: the request may have taken effect

The work queue retries after all of them. `Unavailable`, `TooManyRequests` and the store's `StoreUnavailable` end by
themselves.
"""

from __future__ import annotations

from perdure.errors import PerdureError

__all__ = [
    "AlreadyExists",
    "ApiError",
    "Conflict",
    "Expired",
    "Misconfigured",
    "NotFound",
    "OperatorError",
    "Refused",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
]


class OperatorError(PerdureError):
    """The base of the operator's errors."""


class Misconfigured(OperatorError):
    """Settings with which the operator cannot work; the message names each, with a remedy."""


class ApiError(OperatorError):
    """A request to the API server failed.

    Attributes:
        call: verb and object: `create pods shop/transfer-17-0a1b2c3d-1`.
        said: the server's message, or the error of the connection.
    """

    def __init__(self, call: str, said: str) -> None:
        super().__init__(call, said)
        self.call = call
        self.said = said

    def __str__(self) -> str:
        return f"{self.call}: {self.said}"


class NotFound(ApiError):
    """There is no such object, or no such kind."""


class Conflict(ApiError):
    """The object has another UID, or a newer version."""


class AlreadyExists(Conflict):
    """There is an object of this name."""


class Expired(ApiError):
    """The list cannot be continued: it is too old."""


class Refused(ApiError):
    """The server rejects the request, until its cause is mended: invalid, or forbidden."""


class Unauthorized(ApiError):
    """The server does not accept the credentials."""


class TooManyRequests(ApiError):
    """The server is busy.

    Attributes:
        retry_after: seconds until the next try.
    """

    def __init__(self, call: str, said: str, retry_after: float) -> None:
        super().__init__(call, said)
        self.args = (call, said, retry_after)
        self.retry_after = retry_after


class Unavailable(ApiError):
    """No usable response; the request may have taken effect."""
