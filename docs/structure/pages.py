"""What of docs/architecture.md is made: the walks as tables, and the picture beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from docs.structure.picture import picture
from docs.structure.tree import arrows, modules
from docs.structure.walks import WALKS, Hop, Walk

__all__ = ["drawing", "walks"]

_FROM_DOCS: Final = "../"


def walks() -> str:
    """The walks: a heading and a table for each."""
    return "\n".join(_walk(walk) for walk in WALKS)


def drawing() -> str:
    """The packages and their layers, as SVG."""
    return picture(arrows(modules()))


def _walk(walk: Walk) -> str:
    aim = "" if walk.aim is None else f" (aim: at most {walk.aim})"
    rows = "".join(f"{row}\n" for row in map(_row, walk.hops))
    return (
        f"### {walk.title}\n\n{walk.begins} {len(walk.modules)} modules{aim}.\n\n"
        f"| file | functions | what it does |\n| --- | --- | --- |\n{rows}"
    )


def _row(hop: Hop) -> str:
    return f"| [{'/'.join(_short(hop))}]({_FROM_DOCS}{hop.path}) | {_functions(hop)} | {hop.what} |"


def _short(hop: Hop) -> Iterator[str]:
    """The path without what all of a package have in common."""
    _, package, *rest = hop.path.split("/")
    if package == "perdure_operator":
        yield "operator"
    yield from rest


def _functions(hop: Hop) -> str:
    return ", ".join(f"`{function}`" for function in hop.functions.split())
