"""Text that Postgres can store, and no longer than it may be."""

from __future__ import annotations

import re

__all__ = ["cut", "is_storable", "storable"]

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")


def is_storable(text: str) -> bool:
    """Whether it has neither NUL nor lone surrogates."""
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """The text with NUL and lone surrogates written as escapes."""
    return _UNSTORABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def cut(text: str, most: int) -> str:
    """The text, or of a longer one its beginning and its end, with a note between them of how long it was."""
    if len(text) <= most:
        return text
    note = f"\n... [{len(text)} characters, the middle is left out] ...\n"
    half = (most - len(note)) // 2
    return text[:half] + note + text[-half:]
