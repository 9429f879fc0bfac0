"""Random programs in ordinary Python, written from templates.

A production is a piece of code as people write it. In its text, `$n` is a number of its own, `$'` a label that no other
place has, `[[a|b]]` one of several texts, and a line `<block>` a place for other productions. A program is a tree of
productions, so that it can be made smaller; the same tree always gives the same text.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Where = Literal["sync", "async"]

PRELUDE = (Path(__file__).parent / "prelude.py").read_text()
_CHOICE = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
_BLOCK = re.compile(r"^( *)<block>$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Production:
    """One form of code.

    Attributes:
        where: in which functions it can stand; a sync one may stand in an async one, too.
        quick: no time passes in it, so it may stand where something else is timed.
        threads: it starts threads, so the program cannot run on virtual time.
        refused: Perdure may refuse it with an error of its own, at the first run already.
        unlike: a run may differ from the plain call, in a way that the guide tells; but not from itself.
        alone: it is refused only where nothing runs beside it, as the guide says.
        inside: in which functions its blocks stand; as itself by default.
        timed: its blocks must be quick.
    """

    name: str
    where: Where
    text: str
    quick: bool = True
    threads: bool = False
    refused: bool = False
    unlike: bool = False
    alone: bool = False
    inside: Where | None = None
    timed: bool = False

    @property
    def blocks(self) -> int:
        """How many blocks it has."""
        return len(_BLOCK.findall(self.text))


@dataclass(slots=True)
class Node:
    """A production in a program, and the nodes in its blocks."""

    production: Production
    seed: int
    blocks: list[list[Node]] = field(default_factory=list)

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for block in self.blocks:
            for node in block:
                yield from node.walk()


@dataclass(slots=True)
class Program:
    """A workflow's body."""

    where: Where
    nodes: list[Node]

    def any(self, what: str) -> bool:
        """Whether any production of it has this attribute."""
        return any(getattr(one.production, what) for node in self.nodes for one in node.walk())

    @property
    def virtual(self) -> bool:
        """Whether it runs on virtual time: an async program without threads."""
        return self.where == "async" and not self.any("threads")

    @property
    def names(self) -> set[str]:
        """The productions in it."""
        return {one.production.name for node in self.nodes for one in node.walk()}

    def source(self, *, inserted: str | None = None, at: int = 0) -> str:
        """Its text; with another statement before the node `at`, if one is given."""
        page = _Page()
        parts = [page.write(node) for node in self.nodes]
        if inserted is not None:
            parts.insert(at, inserted)
        body = "\n".join(parts)
        start = "async def" if self.where == "async" else "def"
        main = f"@workflow\n{start} main() -> list:\n    out: list = []\n{_indent(body, 4)}\n    return out\n"
        return f"{PRELUDE}\n\n{main}"


class _Page:
    """Numbers what is written on it."""

    def __init__(self) -> None:
        self._number = 0
        self._label = 0

    def write(self, node: Node) -> str:
        chance = random.Random(node.seed)
        self._number += 1
        text = node.production.text.strip("\n").replace("$n", str(self._number))
        while (choice := _CHOICE.search(text)) is not None:
            text = text[: choice.start()] + chance.choice(choice[1].split("|")) + text[choice.end() :]
        while "$'" in text:
            self._label += 1
            text = text.replace("$'", f"'p{self._label}'", 1)
        blocks = iter(node.blocks)

        def block(line: re.Match[str]) -> str:
            return _indent("\n".join([*(self.write(one) for one in next(blocks)), "pass"]), len(line[1]))

        return _BLOCK.sub(block, text)


def _indent(text: str, by: int) -> str:
    return "\n".join(" " * by + line if line else line for line in text.split("\n"))


def write(seed: int, productions: list[Production], *, without: frozenset[str] = frozenset()) -> Program:
    """The random program of a seed."""
    chance = random.Random(seed)
    usable = [one for one in productions if one.name not in without]
    where: Where = "async" if chance.random() < 2 / 3 else "sync"
    # A program with threads runs in real time, which is slower: one in three of the async ones.
    threads = where == "sync" or chance.random() < 1 / 3
    writer = _Writer(chance, [one for one in usable if threads or not one.threads])
    return Program(where, writer.block(where, depth=3, quick=False, most=4))


class _Writer:
    def __init__(self, chance: random.Random, productions: list[Production]) -> None:
        self._chance = chance
        self._productions = productions
        self._left = 14

    def block(self, where: Where, depth: int, *, quick: bool, most: int) -> list[Node]:
        return [self._node(where, depth, quick=quick) for _ in range(self._chance.randint(1, most))]

    def _node(self, where: Where, depth: int, *, quick: bool) -> Node:
        self._left -= 1
        allowed = [
            one
            for one in self._productions
            if (one.where == where or (one.where == "sync" and not one.threads))
            and (one.quick or not quick)
            and (not one.blocks or (depth > 0 and self._left > 0))
        ]
        production = self._chance.choice(allowed)
        inside = production.inside or where
        blocks = [
            self.block(inside, depth - 1, quick=quick or production.timed, most=2) for _ in range(production.blocks)
        ]
        return Node(production, self._chance.getrandbits(32), blocks)


def smaller(program: Program) -> Iterator[Program]:
    """Programs with one node less, or with a node's block in its place."""
    for nodes in _smaller(program.nodes, program.where):
        if nodes:
            yield Program(program.where, nodes)


def _smaller(nodes: list[Node], where: Where) -> Iterator[list[Node]]:
    for at, node in enumerate(nodes):
        yield nodes[:at] + nodes[at + 1 :]
        for block in node.blocks:
            if (node.production.inside or where) == where:
                yield nodes[:at] + block + nodes[at + 1 :]
        for n, block in enumerate(node.blocks):
            for less in _smaller(block, node.production.inside or where):
                blocks = [*node.blocks[:n], less, *node.blocks[n + 1 :]]
                yield [*nodes[:at], Node(node.production, node.seed, blocks), *nodes[at + 1 :]]
