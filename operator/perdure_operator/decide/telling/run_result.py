"""The end of a run for the status: reason, result and error, truncated to their limits."""

from __future__ import annotations

import json
from typing import Final

from perdure.store.runs.model import RunState

from ...truncate import MAX_ERROR_BYTES, MAX_RESULT_BYTES, cut
from ..observed import Run
from ..plan import Kind, Reason, Situation

__all__ = ["ending", "error_of", "result_of"]

_MAX_TYPE_BYTES: Final = 256
_REASONS: Final = {
    "perdure.errors:DeadlineExceeded": Reason.DEADLINE_EXCEEDED,
    "perdure.errors:BackoffLimitExceeded": Reason.BACKOFF_LIMIT_EXCEEDED,
    "perdure.errors:DisruptionLimitExceeded": Reason.DISRUPTION_LIMIT_EXCEEDED,
    "perdure.errors:InputError": Reason.INVALID_INPUT,
    "perdure.errors:EntrypointError": Reason.INVALID_ENTRYPOINT,
}


def ending(run: Run) -> Situation:
    """How a run has ended."""
    steps = f"{run.steps} step{'' if run.steps == 1 else 's'}"
    if run.state is RunState.SUCCEEDED:
        return Situation(Kind.SUCCEEDED, Reason.SUCCEEDED, f"succeeded after {steps}")
    if run.state is RunState.CANCELLED:
        name, message = _error(run)
        said = f"cancelled after {steps}"
        if name is not None:
            said += f"; its cleanup ended with {name.rpartition(':')[2]}: {message or ''}"
        return Situation(Kind.FAILED, Reason.CANCELLED, said)
    name, message = error_of(run)
    said = ": ".join(part for part in ((name or "").rpartition(":")[2], message or "") if part)
    return Situation(Kind.FAILED, _REASONS.get(name or "", Reason.FAILED), said or f"failed after {steps}")


def result_of(run: Run) -> str | None:
    """The result as JSON, or a hint where to read it if it is too long for a status."""
    if run.state is not RunState.SUCCEEDED:
        return None
    if run.result is not None and len(run.result.encode(errors="replace")) <= MAX_RESULT_BYTES:
        return run.result
    size = run.result_bytes or len((run.result or "").encode(errors="replace"))
    return f"the result is in the store ({size} bytes): `perdure show` prints it" if size else None


def error_of(run: Run) -> tuple[str | None, str | None]:
    """Type and message of a run's error."""
    return _error(run) if run.state is RunState.FAILED else (None, None)


def _error(run: Run) -> tuple[str | None, str | None]:
    try:
        error = json.loads(run.error or "null")
    except (ValueError, RecursionError):
        error = None
    if not isinstance(error, dict):
        return None, None if run.error is None else cut(run.error, MAX_ERROR_BYTES)
    name = cut(_text(error.get("type")), _MAX_TYPE_BYTES)
    return name or None, cut(_text(error.get("message")), MAX_ERROR_BYTES - len(name.encode())) or None


def _text(value: object) -> str:
    return "" if value is None else str(value)
