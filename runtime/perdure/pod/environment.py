"""The environment of a pod: the store, the run, the claim, and time limits.

Parsed once, at the start of `perdure exec`; each `PodEnvironment` is valid. No message repeats a claim
or a database URL: both are secrets, and messages end up in logs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from perdure.errors import UsageError
from perdure.names import Claim, RunId

__all__ = ["DEFAULT_GRACE_SECONDS", "DEFAULT_LEASE_SECONDS", "PodEnvironment", "lease_seconds"]

DEFAULT_GRACE_SECONDS: Final = 30.0
"""Time from SIGTERM to SIGKILL, as Kubernetes has it (`terminationGracePeriodSeconds`)."""

DEFAULT_LEASE_SECONDS: Final = 6.0
"""A process whose heartbeat rests for this long is taken for dead."""

_TLS: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")
_URL_SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEnvironment:
    """One attempt of one run, as its environment names it."""

    database_url: str = field(repr=False)
    """`PERDURE_DATABASE_URL`: the store, as a libpq URL."""

    database_tls: Mapping[str, str] = field(default_factory=dict)
    """`PERDURE_DATABASE_SSLMODE`, `_SSLROOTCERT`, `_SSLCERT` and `_SSLKEY`, by libpq's names: the URL counts before."""

    run_id: RunId
    """`PERDURE_RUN_ID`: the run."""

    claim: Claim = field(repr=False)
    """`PERDURE_CLAIM`: what begins this attempt, once."""

    grace_seconds: float = DEFAULT_GRACE_SECONDS
    """`PERDURE_GRACE_SECONDS`: time from SIGTERM to SIGKILL."""

    lease_seconds: float = DEFAULT_LEASE_SECONDS
    """`PERDURE_LEASE_SECONDS`: a heartbeat that rests for this long means death; it beats four times in it."""

    patience_seconds: float | None = None
    """`PERDURE_PATIENCE_SECONDS`: how long a finished step waits for a store that is away; without, to the deadline."""

    import_path: str | None = None
    """`PERDURE_IMPORT_PATH`: the folder of the workflow's code, besides the current one and what Python has."""

    parent: int | None = None
    """`PERDURE_PARENT`: the process without which this one is not to live."""

    pod_name: str | None = None
    """`PERDURE_POD_NAME`, for the record of the attempt."""

    node_name: str | None = None
    """`PERDURE_NODE_NAME`, for the record of the attempt."""

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> PodEnvironment:
        """Read the `PERDURE_*` variables of `environ`. An empty optional variable is one that is not set.

        Raises:
            UsageError: variables are missing or wrong; the message names each of them.
        """
        reading = _Reading(environ)
        environment = cls(
            database_url=reading.url("PERDURE_DATABASE_URL"),
            database_tls=reading.texts({f"PERDURE_DATABASE_{name.upper()}": name for name in _TLS}),
            run_id=RunId(reading.uuid("PERDURE_RUN_ID", "the run's id")),
            claim=Claim(reading.uuid("PERDURE_CLAIM", "the attempt's claim")),
            grace_seconds=reading.seconds("PERDURE_GRACE_SECONDS", DEFAULT_GRACE_SECONDS),
            lease_seconds=reading.seconds("PERDURE_LEASE_SECONDS", DEFAULT_LEASE_SECONDS),
            patience_seconds=reading.optional_seconds("PERDURE_PATIENCE_SECONDS"),
            import_path=reading.text("PERDURE_IMPORT_PATH"),
            parent=reading.process("PERDURE_PARENT"),
            pod_name=reading.text("PERDURE_POD_NAME"),
            node_name=reading.text("PERDURE_NODE_NAME"),
        )
        reading.check()
        return environment


def lease_seconds(environ: Mapping[str, str]) -> float:
    """`PERDURE_LEASE_SECONDS`, for who watches processes that have it.

    Raises:
        UsageError: it is no number of seconds.
    """
    reading = _Reading(environ)
    lease = reading.seconds("PERDURE_LEASE_SECONDS", DEFAULT_LEASE_SECONDS)
    reading.check()
    return lease


class _Reading:
    """Reads variables and collects their errors, so that one message can name all."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []

    def check(self) -> None:
        if self.problems:
            raise UsageError("; ".join(self.problems))

    def url(self, variable: str) -> str:
        value = self._required(variable, "the store as a URL: postgresql://user:password@host:5432/database")
        if value and not value.startswith(_URL_SCHEMES):
            self.problems.append(f"{variable} is no URL of a Postgres: it begins with postgresql:// or postgres://")
        return value

    def uuid(self, variable: str, meaning: str) -> UUID:
        value = self._required(variable, f"{meaning}, a UUID")
        try:
            return UUID(value)
        except ValueError:
            if value:
                self.problems.append(f"{variable} is no UUID: it holds {meaning}, like {UUID(int=0)}")
            return UUID(int=0)

    def seconds(self, variable: str, default: float) -> float:
        text = self.text(variable)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value > 0):
            self.problems.append(f"{variable} is {text!r}: a number of seconds above 0, such as {default:g}")
            return default
        return value

    def optional_seconds(self, variable: str) -> float | None:
        return None if self.text(variable) is None else self.seconds(variable, 600.0)

    def process(self, variable: str) -> int | None:
        text = self.text(variable)
        if text is None or text.isdecimal():
            return None if text is None else int(text)
        self.problems.append(f"{variable} is {text!r}: the id of a process")
        return None

    def text(self, variable: str) -> str | None:
        value = self._environ.get(variable, "").strip()
        if not value.isprintable():
            # Bytes that are no UTF-8 are among them: lone surrogates, which the store could not take.
            self.problems.append(f"{variable} holds characters that are not printable")
            return None
        return value or None

    def texts(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Of those variables that are set, the texts, by the names that they are given here."""
        found = {name: self.text(variable) for variable, name in variables.items()}
        return {name: text for name, text in found.items() if text is not None}

    def _required(self, variable: str, meaning: str) -> str:
        value = self._environ.get(variable, "").strip()
        if not value:
            self.problems.append(f"{variable} is not set: it holds {meaning}")
        return value
