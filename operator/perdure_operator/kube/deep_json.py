"""JSON that is nested deeper than the parser goes, as the API server takes it: 10,000 levels.

The fields that a schema leaves open can hold that, so one tenant's object would make a whole list unreadable. Of such
an object is read who it is; what it asks for is not.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

__all__ = ["end_of_value", "read"]

_LEVELS: Final = 20
"""What identifies an object lies higher than that."""

_STEPS: Final = {"[": 1, "{": 1, "]": -1, "}": -1}
_STRING: Final = r'"(?:[^"\\]|\\.)*+"'


def _flat(levels: int) -> str:
    """What holds no bracket but pairs of them, so many levels deep."""
    inside = rf"|[\[{{]{_flat(levels - 1)}[\]}}]" if levels else ""
    return rf"(?:[^\[\]{{}}\"]|{_STRING}{inside})*+"


_BRACKET: Final = re.compile(rf"(?:{_flat(10)})([\[\]{{}}])", re.DOTALL)
"""The next bracket that is not in a flat place: those are passed over, for there may be half a million of them."""


def read(text: str) -> Any:
    """What a text of JSON says; where it is nested too deeply, as far as to tell which object it is.

    The `spec` of that is a sentence that says so.

    Raises:
        ValueError: it is no JSON.
    """
    try:
        return json.loads(text)
    except RecursionError:
        body = json.loads(_cut(text))
        for one in (body, body.get("object")) if isinstance(body, dict) else ():
            if isinstance(one, dict) and "spec" in one:
                one["spec"] = "it is nested too deeply"
        return body


def end_of_value(text: str, start: int) -> int | None:
    """Where the array or object that begins at `start` ends; None if it does not."""
    at = start + 1
    depth = 1
    while found := _BRACKET.match(text, at):
        at = found.end()
        depth += _STEPS[found[1]]
        if depth == 0:
            return at
    return None


def _cut(text: str) -> str:
    """The text with null in the place of what is too deep."""
    kept: list[str] = []
    depth, since = 0, 0
    at = 0
    while found := _BRACKET.match(text, at):
        at = found.end()
        step = _STEPS[found[1]]
        if step > 0 and depth == _LEVELS:
            kept.append(text[since : at - 1])
        depth += step
        if step < 0 and depth == _LEVELS:
            kept.append("null")
            since = at
    return "".join([*kept, text[since:]])
