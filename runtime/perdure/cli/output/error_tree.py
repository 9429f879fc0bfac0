"""A stored error with its tree, for people and for programs: members of groups, causes, handled exceptions.

For people it is a tree of lines, bounded in depth, in width and as a whole; for programs the whole stored error. Parts
that Python would not show (the context of `raise ... from None`, or of an exception that has a cause) is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TextIO

__all__ = ["branches", "error_document", "error_line", "first_traceback", "has_branches"]

_DEPTH: Final = 8
_WIDTH: Final = 10
_LINES: Final = 60
_LENGTH: Final = 200
"""Characters of an exception's text in its line."""

_BARS: Final = ("├─ ", "└─ ", "│  ")
_PLAIN_BARS: Final = ("|- ", "`- ", "|  ")
"""The same where the stream takes no more than ASCII."""

_Stored = Mapping[str, Any]


def error_document(text: str | None) -> dict[str, Any] | None:
    """A stored error as a document; with `exceptions`, `cause`, `context`, `notes`, `not_kept` where there are any."""
    return None if text is None else _document(json.loads(text))


def error_line(text: str) -> str:
    """The error itself: the name of its class, and its message."""
    return _line(json.loads(text), None)


def first_traceback(text: str) -> str:
    """The traceback of an error, or of its first member: `except*` raises groups that have none."""
    stored = json.loads(text)
    while not stored.get("traceback") and stored.get("exceptions"):
        stored = stored["exceptions"][0]
    return str(stored.get("traceback") or "")


def has_branches(text: str | None) -> bool:
    """Whether there is more to an error than itself."""
    return text is not None and any(_below(json.loads(text)))


def branches(text: str, stream: TextIO) -> list[str]:
    """The parts below the error itself, as lines of a tree for this stream."""
    encoding = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "")
    lines: list[str] = []
    for line in _tree(json.loads(text), "", _BARS if encoding == "utf8" else _PLAIN_BARS, 1):
        if len(lines) == _LINES:
            return [*lines, "..."]
        lines.append(line)
    return lines


def _document(stored: _Stored) -> dict[str, Any]:
    document: dict[str, Any] = {name: stored.get(name) for name in ("type", "message", "traceback")}
    if notes := stored.get("notes"):
        document["notes"] = notes
    if lost := stored.get("lost"):
        document["not_kept"] = lost
    if members := stored.get("exceptions"):
        document["exceptions"] = [_document(one) for one in members]
    name, behind = _behind(stored)
    return document if behind is None else document | {name: _document(behind)}


def _behind(stored: _Stored) -> tuple[str, _Stored | None]:
    """What an exception came from, as Python shows it."""
    if stored.get("cause") is not None:
        return "cause", stored["cause"]
    return "context", None if stored.get("suppress_context") else stored.get("context")


def _below(stored: _Stored) -> Iterator[tuple[str, _Stored]]:
    for member in stored.get("exceptions") or ():
        yield "", member
    name, behind = _behind(stored)
    if behind is not None:
        yield ("caused by " if name == "cause" else "while handling "), behind


def _tree(stored: _Stored, indent: str, bars: tuple[str, str, str], depth: int) -> Iterator[str]:
    below = list(_below(stored))
    if below and depth > _DEPTH:
        yield f"{indent}{bars[1]}..."
        return
    hidden = max(0, len(below) - _WIDTH)
    if hidden:
        # The cause is last, and stays.
        below = [*below[: _WIDTH - 1], ("...", {"hidden": hidden}), below[-1]]
    for number, (how, one) in enumerate(below, start=1):
        last = number == len(below)
        if "hidden" in one:
            yield f"{indent}{bars[0]}{one['hidden']} more"
            continue
        yield f"{indent}{bars[1] if last else bars[0]}{how}{_line(one, _LENGTH)}"
        yield from _tree(one, indent + ("   " if last else bars[2]), bars, depth + 1)


def _line(stored: _Stored, most: int | None) -> str:
    message = str(stored.get("message") or "")
    if most is not None:
        message = " ".join(message.split())
        message = message if len(message) <= most else f"{message[: most - 3]}..."
    name = str(stored.get("type")).rpartition(":")[2]
    return f"{name}: {message}" if message else name
