"""The store's SQL functions, each from the one file that holds its text, and whom each is granted to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Function", "functions", "granted_to"]

_HEADER = re.compile(r"-- Granted to: (?P<callers>nobody|pods|operator|pods, operator)\n")
_CREATE = re.compile(r"^CREATE OR REPLACE FUNCTION perdure\.(?P<name>\w+)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the schema `perdure`.

    Attributes:
        name: its name there, and its file's name.
        text: the statement that creates or replaces it.
        callers: who may call it beside the schema's owner: `pods`, `operator`.
    """

    name: str
    text: str
    callers: frozenset[str]


@cache
def functions() -> tuple[Function, ...]:
    """All functions, by name."""
    folder = files(__package__).joinpath("functions")
    found = [
        _parsed(file.name.removesuffix(".sql"), file.read_text(encoding="utf-8"))
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    ]
    return tuple(sorted(found, key=lambda function: function.name))


def granted_to(caller: str) -> tuple[str, ...]:
    """The names of the functions that `pods` or `operator` may call."""
    return tuple(function.name for function in functions() if caller in function.callers)


def _parsed(name: str, text: str) -> Function:
    header = _HEADER.match(text)
    created = [match["name"] for match in _CREATE.finditer(text)]
    if header is None or created != [name]:
        raise ValueError(
            f"functions/{name}.sql says whom it is granted to, and creates perdure.{name} and nothing else"
        )
    return Function(name, text, frozenset(header["callers"].split(", ")) - {"nobody"})
