"""Structured logs: one line for each record, JSON or key=value, with its Workflow, run and attempt."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = ["about", "configure"]

_ABOUT: ContextVar[Mapping[str, object]] = ContextVar("perdure_operator_about", default={})  # noqa: B039 it is not changed

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_RUNTIME = "perdure_"  # fields of the runtime's records, empty here
_QUIET = ("kopf", "aiohttp", "asyncio")


@contextmanager
def about(**what: object) -> Iterator[None]:
    """Add these fields to all records of a block."""
    token = _ABOUT.set({**_ABOUT.get(), **what})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def configure(level: str, format: Literal["json", "text"]) -> None:
    """Have this process log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if format == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        # kopf logs each try of each request; the operator logs the results.
        logging.getLogger(name).setLevel(logging.CRITICAL if name == "kopf" else logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
        **_ABOUT.get(),
        **{name: value for name, value in vars(record).items() if name not in _OWN and not name.startswith(_RUNTIME)},
    }
    if record.exc_info:
        fields["traceback"] = logging.Formatter().formatException(record.exc_info)
    return fields


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_fields(record), default=str, ensure_ascii=False)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return " ".join(f"{name}={_word(str(value))}" for name, value in _fields(record).items())


def _word(text: str) -> str:
    plain = text and text.isprintable() and not any(character in ' "=' for character in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
