"""`make structure`: the table of measures; with the name of a list behind it, what they count, one by one."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from docs.structure import graph, prose
from docs.structure.measures import Measure, measures, sizes_of_folders, untested
from docs.structure.tree import Module, arrows, modules
from docs.structure.walks import WALKS

Graph = Mapping[str, set[str]]
Known = Mapping[str, Module]


def table(of: list[Measure]) -> str:
    """The measures as text: each a line with its figure and its aim."""
    width = max(len(one.name) for one in of)
    lines = [f"{'':{width}}  {'today':>7}  aim"]
    for one in of:
        mark = "" if one.reached else "  <-"
        lines.append(f"{one.name:{width}}  {one.figure:>7,g}  {one.aim}{mark}".rstrip())
    return "\n".join(lines)


def _circles(_: Known, imports: Graph) -> Iterator[str]:
    for circle in graph.circles(imports):
        yield f"{len(circle)} modules: {', '.join(sorted(circle))}"
    for one, other in graph.back_arrows(imports):
        yield f"runs back: {one} -> {other}"


def _folders(known: Known, _: Graph) -> Iterator[str]:
    for folder, files in sizes_of_folders(known).most_common():
        yield f"{files:3} {folder}"


def _walks(_: Known, __: Graph) -> Iterator[str]:
    for walk in WALKS:
        yield f"{walk.title}: {len(walk.modules)} modules"
        for hop in walk.hops:
            yield f"    {hop.place}: {hop.what}"


def _prose(known: Known, _: Graph) -> Iterator[str]:
    for module in known.values():
        for line, habit, text in prose.constructions(module.source):
            yield f"{module.path}:{line}: {habit}: {text}"


def _tests(known: Known, _: Graph) -> Iterator[str]:
    yield from untested(known)


_LISTS: Final[Mapping[str, Callable[[Known, Graph], Iterator[str]]]] = {
    "circles": _circles,
    "folders": _folders,
    "walks": _walks,
    "prose": _prose,
    "tests": _tests,
}


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(prog="make structure", description="How the code is built, beside its aims.")
    parser.add_argument("list", nargs="?", choices=list(_LISTS), help="what is counted, one by one (ARGS=circles)")
    asked = parser.parse_args()
    known = modules()
    imports = arrows(known)
    if asked.list is None:
        print(table(list(measures(known, imports))))
        return
    for line in _LISTS[asked.list](known, imports):
        print(line)


if __name__ == "__main__":
    main()
