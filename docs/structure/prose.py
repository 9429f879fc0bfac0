"""The English of docstrings and comments: how many words there are, and how many mannered constructions."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

__all__ = ["HABITS", "Construction", "comments", "constructions", "prose", "tokens", "words"]

HABITS: Final = {
    "whoever, whatever": r"(?:who|what|which|whom|where)ever",
    "nobody, somebody": r"(?:nobody|somebody|anybody|everybody|no one|someone|anyone|everyone)",
    "what is, what came": r"what (?:is|are|was|were|it|they|he|she|we|you|this|that|a|the|has|had|does|did|can|could"
    r"|must|may|will|would|came|comes|stands|goes|follows|happens|happened|remains)",
    "tell, say, hear, ask": r"(?:tell|tells|told|telling|say|says|said|saying|hear|hears|heard|hearing"
    r"|ask|asks|asked|asking)",
}
"""Habits that make a sentence hard to follow: it does not name its subject or its object, or things act as persons."""

_HABITS: Final = {name: re.compile(rf"\b{pattern}\b", re.IGNORECASE) for name, pattern in HABITS.items()}
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z'-]*")


class Construction(NamedTuple):
    """A mannered construction, and the line at which its docstring begins or its comment stands."""

    line: int
    habit: str
    text: str


@cache
def prose(source: str) -> tuple[tuple[int, str], ...]:
    """The docstrings and comments of a module, each with its line; comments on lines that follow are one text."""
    return tuple(_prose(source))


def _prose(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str() as text)):
                    yield statement.lineno, re.sub(r"\s+", " ", text)
                case _:
                    pass
    run: list[str] = []
    begin = last = 0
    for line, text in comments(source):
        if run and line != last + 1:
            yield begin, " ".join(run)
            run = []
        begin = begin if run else line
        run.append(text)
        last = line
    if run:
        yield begin, " ".join(run)


@cache
def tokens(source: str) -> tuple[tokenize.TokenInfo, ...]:
    """The tokens of a module; kept, since reading them takes most of the time of all measures."""
    return tuple(tokenize.generate_tokens(io.StringIO(source).readline))


def comments(source: str) -> Iterator[tuple[int, str]]:
    """The comments, without their marks."""
    for token in tokens(source):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#").strip()


def words(source: str) -> int:
    """How many words the docstrings and comments have."""
    return sum(len(_WORD.findall(text)) for _, text in prose(source))


def constructions(source: str) -> list[Construction]:
    """The mannered constructions in docstrings and comments.

    The patterns look at words alone and so overstate a little: a client that asks a server is found, too.
    """
    return sorted(
        Construction(line, habit, text[max(0, found.start() - 30) : found.end() + 30].strip())
        for line, text in prose(source)
        for habit, pattern in _HABITS.items()
        for found in pattern.finditer(text)
    )
