"""Reads JSON that no schema has validated: a value of the wrong type counts as absent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["integer", "items", "mapping", "text"]


def mapping(value: Any) -> Mapping[str, Any]:
    """The object; an empty one for another value."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects in a list."""
    return (item for item in value if isinstance(item, Mapping)) if isinstance(value, list) else iter(())


def text(value: Any) -> str | None:
    """A text."""
    return value if isinstance(value, str) else None


def integer(value: Any) -> int | None:
    """A whole number that is not negative."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
