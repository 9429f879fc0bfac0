"""Converts `observed.Status` to the JSON of a status, limited in size, and back, tolerating malformed statuses.

`read_status(status_document(status))` is `canonical(status)`. Compare canonical statuses to find changes: the API
server neither keeps the order of keys nor distinguishes 1.0 from 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from ..decide.observed import Condition, Status
from ..truncate import MAX_ERROR_BYTES, MAX_RESULT_BYTES, cut
from .untyped import integer, items, mapping, text

__all__ = ["canonical", "read_status", "read_time", "same", "status_document"]

_MAX_MESSAGE_BYTES: Final = 2048
_MAX_STEP_BYTES: Final = 2048

_INT64: Final = 2**63


def status_document(status: Status) -> dict[str, Any]:
    """The status as JSON for server-side apply, which removes missing fields."""
    document: dict[str, Any] = {
        "observedGeneration": status.observed_generation,
        "storeId": str(status.store_id) if status.store_id else None,
        "phase": status.phase,
        "conditions": [_condition(one) for _, one in sorted(status.conditions.items())] or None,
        "startTime": _time(status.start_time),
        "completionTime": _time(status.completion_time),
        "attempts": status.attempts,
        "steps": {"completed": status.steps_completed},
        "podName": status.pod_name,
        "restart": status.restart,
        "cancelTime": _time(status.cancel_time),
    }
    if status.current_step is not None:
        document["steps"]["current"] = cut(status.current_step, _MAX_STEP_BYTES)
    if status.error_type is not None or status.error_message is not None:
        document["error"] = {"type": cut(status.error_type or "Error", MAX_ERROR_BYTES)}
        if status.error_message is not None:
            document["error"]["message"] = cut(status.error_message, MAX_ERROR_BYTES)
    document = {name: value for name, value in document.items() if value is not None}
    if status.result is not None:
        document["result"] = _result(status.result)
    return document


def read_status(raw: Any) -> Status:
    """Parse a status. Malformed fields count as absent."""
    if not isinstance(raw, Mapping):
        return Status()
    steps, error = mapping(raw.get("steps")), mapping(raw.get("error"))
    return Status(
        observed_generation=integer(raw.get("observedGeneration")),
        store_id=_uuid(raw.get("storeId")),
        phase=text(raw.get("phase")),
        conditions=_conditions(raw.get("conditions")),
        start_time=read_time(raw.get("startTime")),
        completion_time=read_time(raw.get("completionTime")),
        attempts=integer(raw.get("attempts")) or 0,
        steps_completed=integer(steps.get("completed")) or 0,
        current_step=text(steps.get("current")),
        result=_json(raw["result"]) if "result" in raw else None,
        error_type=text(error.get("type")),
        error_message=text(error.get("message")),
        pod_name=text(raw.get("podName")),
        restart=text(raw.get("restart")),
        cancel_time=read_time(raw.get("cancelTime")),
    )


def canonical(status: Status) -> Status:
    """The status as it comes back from the API server."""
    return read_status(status_document(status))


def same(one: Status, other: Status) -> bool:
    """Whether two statuses are the same but for the times of their conditions."""
    return _timeless(canonical(one)) == _timeless(canonical(other))


def read_time(value: Any) -> datetime | None:
    """A moment in RFC 3339."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _timeless(status: Status) -> Status:
    epoch = datetime.fromtimestamp(0, UTC)
    return replace(status, conditions={name: replace(one, since=epoch) for name, one in status.conditions.items()})


def _condition(condition: Condition) -> dict[str, Any]:
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": cut(condition.message, _MAX_MESSAGE_BYTES),
        "lastTransitionTime": _time(condition.since),
        "observedGeneration": condition.generation,
    }


def _conditions(raw: Any) -> dict[str, Condition]:
    conditions = {}
    for given in items(raw):
        kind, status = text(given.get("type")), text(given.get("status"))
        since = read_time(given.get("lastTransitionTime"))
        if kind is not None and status is not None and since is not None:
            conditions[kind] = Condition(
                type=kind,
                status=status,
                reason=text(given.get("reason")) or "",
                message=text(given.get("message")) or "",
                since=since,
                generation=integer(given.get("observedGeneration")) or 0,
            )
    return conditions


def _time(moment: datetime | None) -> str | None:
    """To the second, as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def _result(result: str) -> Any:
    """The value of a JSON text, or the text itself if it is not JSON."""
    try:
        value = _as_stored(json.loads(result, parse_constant=_no_constant))
    except (ValueError, RecursionError):
        return cut(result, MAX_RESULT_BYTES)
    if len(result.encode(errors="surrogatepass")) > MAX_RESULT_BYTES:
        return "the result is too long to be shown here"
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _as_stored(value: Any) -> Any:
    """A value as the API server returns it: numbers have 64 bits."""
    match value:
        case dict():
            return {_storable(key): _as_stored(one) for key, one in sorted(value.items())}
        case list():
            return [_as_stored(one) for one in value]
        case bool() | None:
            return value
        case int():
            return value if -_INT64 <= value < _INT64 else _as_stored(_float(value))
        case float():
            if not math.isfinite(value):
                return str(value)
            return int(value) if value.is_integer() and -_INT64 <= value < _INT64 else value
        case str():
            return _storable(value)
        case _:
            return value


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _storable(words: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot encode."""
    return words.encode(errors="replace").decode()


def _json(value: Any) -> str:
    return json.dumps(_as_stored(value), ensure_ascii=False, separators=(",", ":"))


def _uuid(value: Any) -> UUID | None:
    try:
        return UUID(value)
    except (AttributeError, TypeError, ValueError):
        return None
