"""Every error that the operator raises by itself, in one tree.

    OperatorError(PerdureError)
    ├── Misconfigured          settings with which the operator cannot work; the message names each
    └── ApiError               the API server did not do what it was asked for
        ├── NotFound             404
        ├── Conflict             409: the object is another one by now, or a newer version of it
        │   └── AlreadyExists      409: there is one of this name
        ├── Expired              410: a list whose continuation is too old
        ├── Refused              400, 403, 422: asked again, it says the same until somebody changes something
        ├── Unauthorized         401, with credentials that were read anew
        ├── TooManyRequests      429: it says when to come again
        └── Unavailable          5xx, no connection, no answer in time: whether it was done is not known

What is away (`Unavailable`, `TooManyRequests`, the store's `StoreUnavailable`) is waited for; the queue asks again.
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
    """The base of what the operator raises by itself."""


class Misconfigured(OperatorError):
    """Settings with which the operator cannot work; the message names each and says what to change."""


class ApiError(OperatorError):
    """The API server did not do what it was asked for.

    Attributes:
        asked: verb and object: `create pods shop/transfer-17-0a1b2c3d-1`.
        said: the server's words, or what became of the connection.
    """

    def __init__(self, asked: str, said: str) -> None:
        super().__init__(asked, said)
        self.asked = asked
        self.said = said

    def __str__(self) -> str:
        return f"{self.asked}: {self.said}"


class NotFound(ApiError):
    """There is no such object, or no such kind."""


class Conflict(ApiError):
    """The object is another one by now, or a newer version of it."""


class AlreadyExists(Conflict):
    """There is an object of this name."""


class Expired(ApiError):
    """The list cannot be continued: it is too old."""


class Refused(ApiError):
    """The server does not want this, and will not until somebody changes something."""


class Unauthorized(ApiError):
    """The server does not know who asks."""


class TooManyRequests(ApiError):
    """The server is busy.

    Attributes:
        retry_after: in how many seconds to come again.
    """

    def __init__(self, asked: str, said: str, retry_after: float) -> None:
        super().__init__(asked, said)
        self.args = (asked, said, retry_after)
        self.retry_after = retry_after


class Unavailable(ApiError):
    """No answer, or none of use; whether it was done is not known."""
