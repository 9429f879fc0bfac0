"""Named statements: those of the store's `queries.sql`, and of the file of that name in another package."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

__all__ = ["statement"]

_HERE = "perdure.store"
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def _statements(package: str) -> dict[str, str]:
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def statement(name: str, package: str = _HERE) -> str:
    """The SQL text of a package's statement with this name, else of ours, with psycopg's named placeholders."""
    return _statements(package).get(name) or _statements(_HERE)[name]
