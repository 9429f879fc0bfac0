"""How an attempt ended, as the process that executed it knows it: `AttemptResult`, which `engine.workflow_call` makes.

Whoever decides by it does so in a `match` that ends with `assert_never`. So mypy names each place where a new member
needs a decision. `attempt_ends` has the store's words, also for attempts whose process is not there any more to tell.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from .serialization.failures.failure import Failure

__all__ = [
    "AttemptResult",
    "Cancelled",
    "Crashed",
    "Failed",
    "Interrupted",
    "Released",
    "RunEnd",
    "Succeeded",
    "Superseded",
    "columns",
    "without_exceptions",
]


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The run ended with a result: JSON text."""

    result: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The run ended with an error.

    Attributes:
        error: what is recorded of it, JSON text.
        raised: the exception itself, for those who show it; None where only the record was kept.
    """

    error: str
    raised: BaseException | None = field(default=None, compare=False)

    @classmethod
    def of(cls, error: BaseException) -> Failed:
        """The end of a run by this error, recorded as it is now."""
        return cls(Failure.of(error).to_json(), error)


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The run ended cancelled; `cleanup` is how its cleanup failed, if it did."""

    cleanup: Failed | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """Another attempt is to go on with the run; `why`, for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """SIGINT interrupted the workflow's code, which is not an outcome of the run."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another attempt has the run, or it was deleted: nothing that this one writes is accepted. `why`, for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """The attempt broke off in a process that lives on, a worker; `why`, for people.

    The engine does not make it: it raises, which ends a process that runs one attempt alone.
    """

    why: str


RunEnd = Succeeded | Failed | Cancelled
"""The attempt ended the run."""

AttemptResult = RunEnd | Released | Interrupted | Superseded


def columns(end: RunEnd) -> tuple[str, str | None, str | None]:
    """The end of a run as the store has it: state, result and error, the last two as JSON texts."""
    match end:
        case Succeeded(result):
            return "succeeded", result, None
        case Failed(error):
            return "failed", None, error
        case Cancelled(cleanup):
            return "cancelled", None, None if cleanup is None else cleanup.error
        case _:
            assert_never(end)


def without_exceptions(result: AttemptResult) -> AttemptResult:
    """The same without the exception itself, whose frames would keep alive all that the workflow's code had."""
    match result:
        case Failed(error):
            return Failed(error)
        case Cancelled(Failed(error)):
            return Cancelled(Failed(error))
        case _:
            return result
