"""The modules of both packages, parsed, and which of them imports which."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "Module", "arrows", "modules"]

ROOT: Final = Path(__file__).resolve().parents[2]
_SOURCES: Final = ("runtime/perdure", "operator/perdure_operator")
_NOT_OURS_TO_SHAPE: Final = "migrations"
"""Alembic loads these files by path and gives them their shape."""


@dataclass(frozen=True)
class Module:
    """A module of the product.

    Attributes:
        name: as it is imported: `perdure.engine.order.scheduler`, and `perdure.engine` for the folder's `__init__.py`.
        path: of its file, from the root of the repository.
        source: its text.
    """

    name: str
    path: Path
    source: str

    @property
    def is_package(self) -> bool:
        """Whether it is the `__init__.py` of a folder."""
        return self.path.name == "__init__.py"

    @property
    def package(self) -> str:
        """The package in which its relative imports begin."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def lines(self) -> int:
        """How long its file is."""
        return self.source.count("\n")

    @cached_property
    def syntax(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.source)

    @cached_property
    def definitions(self) -> frozenset[str]:
        """The classes and functions that it defines; methods and fields as `Class.method`."""
        return frozenset(_definitions(self.syntax.body, ""))


def _definitions(body: list[ast.stmt], inside: str) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.ClassDef(name=name, body=within):
                yield inside + name
                yield from _definitions(within, f"{inside}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield inside + name
            case ast.AnnAssign(target=ast.Name(id=name)) if inside:
                yield inside + name
            case _:
                pass


def modules(root: Path = ROOT) -> dict[str, Module]:
    """All modules of the library and the operator, by name."""
    found = {}
    for source in _SOURCES:
        for path in sorted((root / source).rglob("*.py")):
            if _NOT_OURS_TO_SHAPE in path.parts:
                continue
            parts = path.relative_to((root / source).parent).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = Module(name, path.relative_to(root), path.read_text())
    return found


def arrows(known: Mapping[str, Module]) -> dict[str, set[str]]:
    """Which modules each one imports: at its top, in functions, and for the type checker alone.

    A module's own packages are left out: to import `a.b` runs `a/__init__.py`, but says nothing of what `a.b` knows.
    """
    return {name: set(_imports(module, known)) - _above(name) for name, module in known.items()}


def _above(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts) + 1)}


def _imports(module: Module, known: Mapping[str, Module]) -> Iterator[str]:
    for node in ast.walk(module.syntax):
        match node:
            case ast.Import(names=names):
                for one in names:
                    yield from _known(one.name, known)
            case ast.ImportFrom(module=source, names=names, level=level):
                base = _base(module, level)
                start = ".".join(part for part in (base, source) if part)
                for one in names:
                    # What is imported from a package may be a module of it, or a name in its `__init__.py`.
                    yield from _known(f"{start}.{one.name}" if f"{start}.{one.name}" in known else start, known)
            case _:
                pass


def _base(module: Module, level: int) -> str:
    if level == 0:
        return ""
    parts = module.package.split(".")
    return ".".join(parts[: len(parts) - level + 1])


def _known(name: str, known: Mapping[str, Module]) -> Iterator[str]:
    if name in known:
        yield name
