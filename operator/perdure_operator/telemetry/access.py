"""Controls access to the metrics: cluster accounts with the right to `get` the path /metrics may read them.

A TokenReview finds the account of a scraper's token, and a SubjectAccessReview its rights. The results are cached, and
few reviews run at a time, so that neither scrapes nor requests with invalid tokens load the API server.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ..errors import ApiError
from ..kube import ACCESS_REVIEWS, TOKEN_REVIEWS, Json, Kube

__all__ = ["Access", "Verdict"]

_log = logging.getLogger("perdure.operator.metrics")

_ALLOWED_FOR = 60.0  # seconds
_REFUSED_FOR = 10.0
"""Seconds; shorter, so that a newly granted right takes effect soon."""

_WITHOUT_ASKING = 3600.0
"""Seconds for which an allowed token stays allowed while the API server does not respond: metrics matter most then."""

_AT_A_TIME = 2
_IN_LINE = 20
_REMEMBERED = 1000


class Verdict(Enum):
    """The result for a scraper; the value is the HTTP status."""

    ALLOWED = 200
    UNKNOWN = 401
    FORBIDDEN = 403
    NOT_NOW = 503


@dataclass(frozen=True, slots=True)
class _Said:
    verdict: Verdict
    at: float


class Access:
    """Reviews tokens and caches the results."""

    def __init__(self, kube: Kube, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._path = path
        self._clock = clock
        self._said: dict[bytes, _Said] = {}
        self._turn = asyncio.Semaphore(_AT_A_TIME)
        self._waiting = 0

    async def verdict(self, authorization: str | None) -> Verdict:
        """Whether a request with this Authorization header may read the path."""
        scheme, _, token = (authorization or "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return Verdict.UNKNOWN
        key = hashlib.sha256(token.encode()).digest()  # no token stays in memory
        known = self._said.get(key)
        if known is not None and self._clock() - known.at < _lasts(known.verdict):
            return known.verdict
        if self._waiting >= _IN_LINE:
            return Verdict.NOT_NOW
        self._waiting += 1
        try:
            async with self._turn:
                verdict = await self._asked(token)
        except ApiError as error:
            _log.warning("the API server could not check access to the metrics: %s", error)
            was_let_in = known is not None and known.verdict is Verdict.ALLOWED
            fresh = known is not None and self._clock() - known.at < _WITHOUT_ASKING
            return Verdict.ALLOWED if was_let_in and fresh else Verdict.NOT_NOW
        finally:
            self._waiting -= 1
        self._remember(key, verdict)
        return verdict

    async def _asked(self, token: str) -> Verdict:
        who = (await self._kube.create(TOKEN_REVIEWS, None, _review("TokenReview", {"token": token}))).get("status", {})
        if not who.get("authenticated"):
            return Verdict.UNKNOWN
        user = who.get("user", {})
        spec = {
            "user": user.get("username", ""),
            "uid": user.get("uid", ""),
            "groups": user.get("groups", []),
            "extra": user.get("extra", {}),
            "nonResourceAttributes": {"path": self._path, "verb": "get"},
        }
        may = (await self._kube.create(ACCESS_REVIEWS, None, _review("SubjectAccessReview", spec))).get("status", {})
        return Verdict.ALLOWED if may.get("allowed") else Verdict.FORBIDDEN

    def _remember(self, key: bytes, verdict: Verdict) -> None:
        self._said.pop(key, None)
        self._said[key] = _Said(verdict, self._clock())
        if len(self._said) > _REMEMBERED:
            # Anonymous clients can send any number of tokens, so rejected tokens are dropped before allowed ones.
            strangers = (key for key, said in self._said.items() if said.verdict is not Verdict.ALLOWED)
            del self._said[next(strangers, next(iter(self._said)))]


def _lasts(verdict: Verdict) -> float:
    return _ALLOWED_FOR if verdict is Verdict.ALLOWED else _REFUSED_FOR


def _review(kind: str, spec: Json) -> Json:
    group = "authentication" if kind == "TokenReview" else "authorization"
    return {"apiVersion": f"{group}.k8s.io/v1", "kind": kind, "spec": spec}
