"""Events of an attempt, as lines of JSON on a pipe, for a command that shows it live.

`PERDURE_EVENTS_FD` names the pipe. It never holds up the attempt: an event that finds the pipe full is dropped, and
the reader finds it in the store in the end.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Final

from perdure.serialization.failures.exception_state import members_of, peek

__all__ = ["VARIABLE", "Events"]

VARIABLE: Final = "PERDURE_EVENTS_FD"

_LONGEST = 4096
"""Bytes that a pipe takes whole or not at all (PIPE_BUF on Linux)."""

_MESSAGE = 500
"""Characters of an error's message that are shown."""

_MEMBERS = 3
"""Members of a group that are shown."""


class Events:
    """Writes events; false, and silent, where they have no reader."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._pid = os.getpid()

    @classmethod
    def of_environment(cls) -> Events:
        """The pipe that the environment names, which user code does not get to see."""
        try:
            descriptor = int(os.environ.pop(VARIABLE, ""))
            os.set_blocking(descriptor, False)
            os.set_inheritable(descriptor, False)
        except (OSError, ValueError):
            return cls(None)
        return cls(descriptor)

    def __bool__(self) -> bool:
        return self._descriptor is not None

    def begun(self, attempt: int, recorded: int) -> None:
        """The attempt has begun, with so many recorded steps."""
        self._write(event="begun", attempt=attempt, recorded=recorded, pid=self._pid)

    def started(self, key: str) -> None:
        """A step's body begins."""
        self._write(event="started", key=key)

    def tried(self, key: str, tries: int, error: BaseException, pause: float) -> None:
        """A try failed; the next one follows after `pause` seconds."""
        self._write(event="tried", key=key, tries=tries, error=_described(error), pause=pause)

    def finished(self, key: str, outcome: str, tries: int, seconds: float, error: BaseException | None) -> None:
        """A step's outcome is stored: `result`, `error` or `cancelled`."""
        described = None if error is None else _described(error)
        self._write(event="finished", key=key, outcome=outcome, tries=tries, seconds=seconds, error=described)

    def replayed(self, key: str, outcome: str, attempt: int) -> None:
        """A step's outcome was taken from the record of an earlier attempt."""
        self._write(event="replayed", key=key, outcome=outcome, attempt=attempt)

    def ended(self, code: int) -> None:
        """The attempt has ended, and what there was to record is recorded."""
        self._write(event="ended", code=code)

    def _write(self, **event: object) -> None:
        if self._descriptor is None or os.getpid() != self._pid:
            return
        line = (json.dumps(event, separators=(",", ":")) + "\n").encode()
        if len(line) > _LONGEST and event.get("error"):
            line = (json.dumps({**event, "error": str(event["error"])[:50]}, separators=(",", ":")) + "\n").encode()
        if len(line) <= _LONGEST:
            with suppress(OSError):
                os.write(self._descriptor, line)


def _described(error: BaseException) -> str:
    """The error in a line, with its members and its causes."""
    said = _said(error)
    if members := members_of(error):
        more = "; ..." if len(members) > _MEMBERS else ""
        said += f" [{'; '.join(map(_said, members[:_MEMBERS]))}{more}]"
    if (cause := peek(error, "__cause__")) is not None:
        said += f", caused by {_said(cause)}"
    elif not peek(error, "__suppress_context__") and (handled := peek(error, "__context__")) is not None:
        said += f", while handling {_said(handled)}"
    return said[:_MESSAGE]


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 a user's exception may do anything
        text = ""
    name = type(error).__name__
    return f"{name}: {text}"[:_MESSAGE] if text else name
