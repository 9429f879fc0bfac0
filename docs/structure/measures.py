"""What `make structure` counts, each figure with the aim that it has."""

from __future__ import annotations

import ast
import re
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from docs.structure import graph, prose, walks
from docs.structure.tree import ROOT, Module

__all__ = ["Measure", "code_lines", "declares_only", "home_of_test", "measures", "sizes_of_folders", "untested"]

_NO_NAME: Final = frozenset({"__init__", "__main__"})
"""Files whose name says nothing of what is in them."""

_LAYOUT: Final = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of the code as it is.

    Attributes:
        name: what is counted, and where.
        figure: how many.
        aim: what it should be; empty where no aim was set.
        reached: whether it is; true where no aim was set.
    """

    name: str
    figure: float
    aim: str = ""
    reached: bool = True

    @classmethod
    def at_most(cls, name: str, figure: float, limit: float) -> Measure:
        """With the aim to be no more than `limit`."""
        return cls(name, figure, f"{limit:g}" if limit == 0 else f"at most {limit:g}", reached=figure <= limit)


def measures(known: Mapping[str, Module], imports: Mapping[str, set[str]], root: Path = ROOT) -> Iterator[Measure]:
    """All of them, in the order of the table."""
    sizes = [module.lines for module in known.values()]
    yield Measure("modules", len(known))
    yield Measure("lines of a module, median", median(sizes))
    yield Measure.at_most("lines of the longest module", max(sizes), 400)
    folders = sizes_of_folders(known)
    yield Measure.at_most("files in the fullest folder", max(folders.values()), 15)
    yield Measure.at_most("folders with more than 15 files", sum(files > 15 for files in folders.values()), 0)
    found = graph.circles(imports)
    yield Measure.at_most("circles of imports", len(found), 0)
    yield Measure.at_most("modules in circles", sum(map(len, found)), 0)
    yield Measure.at_most("arrows that run back", len(graph.back_arrows(imports)), 0)
    for walk in walks.WALKS:
        name = f"modules of the walk: {walk.name}"
        here = len(walk.modules)
        yield Measure(name, here) if walk.aim is None else Measure.at_most(name, here, walk.aim)
    for package in ("perdure", "perdure_operator"):
        yield from _texts(package, [one for one in known.values() if one.name.split(".")[0] == package])
    yield Measure.at_most("modules without a test named for them", len(untested(known, root)), 0)


def _texts(package: str, of: list[Module]) -> Iterator[Measure]:
    words = sum(prose.words(module.source) for module in of)
    mannered = sum(len(prose.constructions(module.source)) for module in of)
    yield Measure.at_most(f"mannered constructions in 1,000 words, {package}", round(1000 * mannered / words, 1), 2)
    comments = sum(1 for module in of for _ in prose.comments(module.source))
    lines = sum(code_lines(module.source) for module in of)
    yield Measure(f"comments in 100 lines of code, {package}", round(100 * comments / lines, 1))


def sizes_of_folders(known: Mapping[str, Module]) -> Counter[str]:
    """How many files each folder has, but for its `__init__.py`."""
    return Counter(str(module.path.parent) for module in known.values() if not module.is_package)


def code_lines(source: str) -> int:
    """Lines that hold code: not empty, no comment, no docstring."""
    texts: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str()), lineno=begin, end_lineno=int(end)):
                texts.update(range(begin, end + 1))
            case _:
                pass
    held: set[int] = set()
    for token in prose.tokens(source):
        if token.type not in _LAYOUT:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - texts)


def home_of_test(module: Module) -> tuple[str, str]:
    """Where one would look for a module's test: a folder below tests/unit or tests/integration, and its file's name.

    The folders of tests mirror those of the packages: `perdure_operator/api/pod.py` has `operator/api/test_pod.py`.
    """
    package, *folders, name = module.path.parts[1:]
    above = ["operator"] if package == "perdure_operator" else []
    return "/".join([*above, *folders]), f"test_{name.removesuffix('.py').strip('_')}"


def declares_only(module: Module) -> bool:
    """Whether a module has nothing to run: no function in it, or none with a body of its own.

    A body is none where it is a docstring, `...` or `pass`, as in a Protocol. Such a module has no test of its own:
    what it declares is held by the type checker, and by the tests of what uses it.
    """
    functions = (node for node in ast.walk(module.syntax) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return not any(_does(statement) for function in functions for statement in function.body)


def _does(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return False
        case _:
            return True


def untested(known: Mapping[str, Module], root: Path = ROOT) -> list[str]:
    """The modules for which no test is named: `test_lane.py` or `test_lane_order.py`, where one would look.

    Left out are those that only declare (`declares_only`), and files whose name says nothing of what is in them.
    """
    folders = [root / "tests" / kind for kind in ("unit", "integration")]
    files = {path.relative_to(folder).as_posix() for folder in folders for path in folder.rglob("test_*.py")}
    return [
        module.name
        for module in known.values()
        if module.path.stem not in _NO_NAME
        and not declares_only(module)
        and not _has_test(*home_of_test(module), files)
    ]


def _has_test(folder: str, name: str, files: set[str]) -> bool:
    pattern = re.compile(re.escape(f"{folder}/{name}".lstrip("/")) + r"(?:_\w+)?\.py")
    return any(pattern.fullmatch(file) for file in files)
