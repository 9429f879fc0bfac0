"""Circles in a drawing of imports, and the arrows of them that run back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

__all__ = ["back_arrows", "circles", "floors", "rooms"]

Graph = Mapping[str, AbstractSet[str]]


def circles(graph: Graph) -> list[set[str]]:
    """The largest sets of which each member reaches each other one (strongly connected components, by Tarjan)."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[set[str]] = []

    def visit(one: str) -> None:
        number[one] = lowest[one] = len(number)
        path.append(one)
        for other in sorted(graph.get(one, ())):
            if other not in number:
                visit(other)
                lowest[one] = min(lowest[one], lowest[other])
            elif other in path:
                lowest[one] = min(lowest[one], number[other])
        if lowest[one] == number[one]:
            cut = path.index(one)
            if len(path) - cut > 1:
                found.append(set(path[cut:]))
            del path[cut:]

    for one in sorted(graph):
        if one not in number:
            visit(one)
    return found


def back_arrows(graph: Graph) -> list[tuple[str, str]]:
    """Arrows without which there would be no circle: few, though a greedy search may miss the fewest.

    Each circle is laid out from its top: next comes the module with the most arrows out of it to what is not laid out
    yet, less those into it (Eades, Lin and Smyth 1993). An arrow to a module that was laid out before runs back.
    """
    back = []
    for circle in circles(graph):
        left = set(circle)
        order: list[str] = []
        while left:
            one = max(sorted(left), key=lambda name: _surplus(graph, name, left))
            order.append(one)
            left.remove(one)
        at = {name: place for place, name in enumerate(order)}
        back += [(one, other) for one in order for other in sorted(graph[one] & circle) if at[other] < at[one]]
    return back


def _surplus(graph: Graph, one: str, left: AbstractSet[str]) -> int:
    out = sum(other in left for other in graph[one])
    return out - sum(one in graph[other] for other in left if other != one)


def floors(graph: Graph) -> dict[str, int]:
    """How high each stands: one above the highest that it imports. A circle's members stand on one floor."""
    member = {name: min(circle) for circle in circles(graph) for name in circle}
    home = {name: member.get(name, name) for name in graph}
    below: dict[str, set[str]] = {}
    for name, others in graph.items():
        below.setdefault(home[name], set()).update(home[other] for other in others if home[other] != home[name])
    height: dict[str, int] = {}

    def rise(one: str) -> int:
        if one not in height:
            height[one] = 1 + max((rise(other) for other in below[one]), default=-1)
        return height[one]

    return {name: rise(home[name]) for name in graph}


def rooms(graph: Graph, package: str) -> dict[str, set[str]]:
    """The drawing of one folder: what is directly in a package, each subfolder as one, and the arrows between them."""
    inside = [name for name in graph if name.startswith(f"{package}.")]
    drawn: dict[str, set[str]] = {_room(name, package): set() for name in inside}
    for name in inside:
        here = _room(name, package)
        drawn[here].update(_rooms_of(graph[name], package) - {here})
    return drawn


def _rooms_of(names: Iterable[str], package: str) -> set[str]:
    return {_room(name, package) for name in names if name.startswith(f"{package}.")}


def _room(name: str, package: str) -> str:
    return name.removeprefix(f"{package}.").partition(".")[0]
