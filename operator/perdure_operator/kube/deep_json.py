"""Reads JSON that is nested too deeply for the parser. The API server accepts 10,000 levels.

Open fields of a schema can have such values, so that one tenant's object would make a whole list unreadable. Of such an
object, only the identity is read, not the spec.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

__all__ = ["end_of_value", "read"]

_LEVELS: Final = 20
"""Levels that are read. The identity of an object is within them."""

_STEPS: Final = {"[": 1, "{": 1, "]": -1, "}": -1}
_STRING: Final = r'"(?:[^"\\]|\\.)*+"'


def _flat(levels: int) -> str:
    """A pattern for text with at most so many levels of balanced brackets."""
    inside = rf"|[\[{{]{_flat(levels - 1)}[\]}}]" if levels else ""
    return rf"(?:[^\[\]{{}}\"]|{_STRING}{inside})*+"


_BRACKET: Final = re.compile(rf"(?:{_flat(10)})([\[\]{{}}])", re.DOTALL)
"""Finds the next bracket outside of flat parts. Those are skipped, since there may be half a million of them."""


def read(text: str) -> Any:
    """Parse JSON. Of an object that is nested too deeply, only the identity, and a `spec` that names the problem.

    Raises:
        ValueError: the text is not JSON.
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
    """The text with null in place of values that are nested too deeply."""
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
