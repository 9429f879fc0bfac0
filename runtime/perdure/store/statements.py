"""The named statements of `queries.sql`, read once."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["statement"]

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def _statements() -> dict[str, str]:
    text = files(__package__).joinpath("queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def statement(name: str) -> str:
    """The SQL text of the statement with this name, with psycopg's named placeholders."""
    return _statements()[name]
