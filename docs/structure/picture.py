"""The packages and their layers in one picture, drawn from the imports: docs/architecture.svg.

A room is a package, or loose files that belong together. It stands one floor below the lowest room that imports it.
Arrows that follow from others (a worker imports the store, and so does the engine, which it imports, too) are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from docs.structure.graph import circles, floors

__all__ = ["ROOMS", "Room", "arrows_between", "drawn", "picture", "room_of"]


@dataclass(frozen=True, slots=True)
class Room:
    """What is drawn as one box.

    Attributes:
        name: its title.
        what: what it does, in a line or two.
        holds: the modules and packages that are in it.
        column: where on its floor it stands, from the left.
    """

    name: str
    what: tuple[str, ...]
    holds: tuple[str, ...]
    column: float


def _of(package: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names)


ROOMS: Final = (
    Room("perdure.cli", ("the command `perdure`",), ("perdure.cli",), 1),
    Room("import perdure", ("the public names",), ("perdure",), 0),
    Room("perdure.local", ("runs on this machine,", "their display"), ("perdure.local",), 1),
    Room("perdure.pod", ("a pod's two processes:", "supervisor and attempt"), ("perdure.pod",), 1),
    Room("perdure.worker", ("many runs in one process,", "without Kubernetes"), ("perdure.worker",), 0),
    Room(
        "programs",
        ("client, testing, entrypoints,", "durable time, chance"),
        _of(
            "perdure",
            "aio",
            "client",
            "durable_time",
            "entrypoints",
            "log_fields",
            "origin",
            "recorded_values",
            "sqlalchemy",
            "start",
            "testing",
        ),
        0,
    ),
    Room(
        "perdure.engine",
        ("one attempt of one run: order,", "replay, step calls; definitions"),
        _of("perdure", "decorators", "definitions", "engine"),
        0.5,
    ),
    Room("perdure.process", ("processes: identity,", "liveness, tree"), ("perdure.process",), 1),
    Room("perdure.store", ("runs, attempts and steps", "in Postgres; its SQL"), ("perdure.store",), 0.5),
    Room(
        "perdure.serialization",
        ("values, arguments and", "exceptions as JSON"),
        ("perdure.serialization",),
        0.5,
    ),
    Room(
        "attempts",
        ("what an attempt is given,", "and how it ended"),
        _of("perdure", "attempt_ends", "attempt_results", "claimed_attempt"),
        1.5,
    ),
    Room(
        "ground",
        ("errors, names, retry,", "threads and forks"),
        _of(*("perdure", "boot_clock", "errors", "forks", "module_names", "names", "owned_thread", "pauses", "retry")),
        1,
    ),
    Room(
        "start",
        ("the operator's process:", "leader election"),
        _of("perdure_operator", "__main__", "election", "main"),
        2.5,
    ),
    Room(
        "controller",
        ("one term of leadership: cache,", "work queue, reconcile, apply"),
        _of("perdure_operator", "controller", "settings"),
        2.5,
    ),
    Room("local", ("manifests without", "a cluster"), ("perdure_operator.local",), 2),
    Room(
        "sources",
        ("events, notifications,", "liveness, outages"),
        ("perdure_operator.sources",),
        3,
    ),
    Room(
        "operator's store",
        ("its calls of the store,", "batched and limited"),
        ("perdure_operator.store",),
        3,
    ),
    Room("api", ("the kind Workflow: schema,", "parsing, status, pods"), ("perdure_operator.api",), 2),
    Room("kube", ("the API server's client",), _of("perdure_operator", "errors", "kube"), 4),
    Room(
        "decide",
        ("what to do, as a pure function", "of what was observed"),
        _of("perdure_operator", "decide", "truncate"),
        2.5,
    ),
    Room(
        "telemetry",
        ("metrics, logs,", "health"),
        _of("perdure_operator", "logs", "telemetry"),
        4,
    ),
)

_WIDTH: Final = 220
_HEIGHT: Final = 76
_LINE: Final = 17
_BETWEEN: Final = 250
_FLOOR: Final = 120
_EDGE: Final = 24
_HEAD_OF_ARROWS: Final = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 L8 4 L0 8 z" fill="#667"/></marker></defs>'
)
_COLOURS: Final = {"perdure": "#e8f0fb", "perdure_operator": "#fdf1e0"}


def room_of(module: str) -> Room | None:
    """The room that a module is in: the one that names it, or the nearest package around it."""
    name = module
    while name:
        for room in ROOMS:
            if name in room.holds and (name == module or "." in name):
                return room
        name = name.rpartition(".")[0]
    return None


def arrows_between(imports: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Which rooms each one imports. A module that is in no room is left out; a test names it."""
    found: dict[str, set[str]] = {room.name: set() for room in ROOMS}
    for module, others in imports.items():
        if (here := room_of(module)) is None:
            continue
        there = {room.name for other in others if (room := room_of(other)) is not None}
        found[here.name] |= there - {here.name}
    return found


def drawn(between: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows that do not follow from others.

    Raises:
        ValueError: rooms import each other, so that they have no floors.
    """
    for circle in circles(between):
        raise ValueError(f"these rooms import each other: {', '.join(sorted(circle))}")
    reached: dict[str, set[str]] = {}
    height = floors(between)
    for room in sorted(between, key=lambda name: height[name]):
        reached[room] = set().union(between[room], *(reached[other] for other in between[room]))
    return {
        room: {other for other in others if not any(other in reached[between_] for between_ in others)}
        for room, others in between.items()
    }


def picture(imports: Mapping[str, set[str]]) -> str:
    """The picture as SVG."""
    between = arrows_between(imports)
    shown = drawn(between)
    height = _heights(between)
    top = max(height.values())
    places = {
        room.name: (_EDGE + round(room.column * _BETWEEN), _EDGE + (top - height[room.name]) * _FLOOR) for room in ROOMS
    }
    _check_room(places)
    width = max(x for x, _ in places.values()) + _WIDTH + _EDGE
    tall = max(y for _, y in places.values()) + _HEIGHT + _EDGE
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{tall}" viewBox="0 0 {width} {tall}"'
        ' font-family="Helvetica, Arial, DejaVu Sans, sans-serif" font-size="13">'
    )
    lines = [
        svg,
        "<title>The packages of Perdure and their layers: each imports only from below</title>",
        _HEAD_OF_ARROWS,
        f'<rect width="{width}" height="{tall}" fill="#ffffff"/>',
        *_arrows(shown, places),
        *(line for room in ROOMS for line in _box(room, places[room.name])),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _heights(between: Mapping[str, set[str]]) -> dict[str, int]:
    """The floor of each room: as high as those that import it allow, so that arrows are short."""
    least = floors(between)
    height: dict[str, int] = {}
    for room in sorted(between, key=lambda name: -least[name]):
        importers = [height[one] for one, others in between.items() if room in others]
        height[room] = min(importers) - 1 if importers else least[room]
    return height


def _check_room(places: Mapping[str, tuple[int, int]]) -> None:
    """Rooms on one floor must not lie over each other.

    Raises:
        ValueError: they do; the message names them.
    """
    for (one, (x, y)), (other, (next_x, next_y)) in pairwise(sorted(places.items(), key=lambda item: item[1][::-1])):
        if y == next_y and next_x - x < _WIDTH:
            raise ValueError(f"{one} and {other} stand in one place: change a column in docs/structure/picture.py")


def _box(room: Room, at: tuple[int, int]) -> Iterator[str]:
    x, y = at
    middle = x + _WIDTH // 2
    colour = _COLOURS[room.holds[0].split(".")[0]]
    yield (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{colour}" stroke="#667">'
        f"<title>{escape(', '.join(room.holds))}</title></rect>"
    )
    yield f'<text x="{middle}" y="{y + 21}" text-anchor="middle" font-weight="bold">{escape(room.name)}</text>'
    for number, line in enumerate(room.what):
        yield f'<text x="{middle}" y="{y + 42 + number * _LINE}" text-anchor="middle">{escape(line)}</text>'


def _arrows(between: Mapping[str, set[str]], places: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """Curves from the bottom of a box to the top of another, their ends spread so that they can be told apart."""
    into = {room: sorted((one for one in between if room in between[one]), key=places.__getitem__) for room in between}
    for room, others in between.items():
        ordered = sorted(others, key=places.__getitem__)
        for other in ordered:
            x = places[room][0] + _spread(ordered.index(other), len(ordered))
            y = places[room][1] + _HEIGHT
            end_x = places[other][0] + _spread(into[other].index(room), len(into[other]))
            end_y = places[other][1]
            bend = min(70, (end_y - y) // 2 + 10)
            yield (
                f'<path d="M{x} {y} C{x} {y + bend} {end_x} {end_y - bend} {end_x} {end_y - 1}"'
                ' fill="none" stroke="#667" marker-end="url(#head)"/>'
            )


def _spread(number: int, of: int) -> int:
    return round(_WIDTH * (number + 1) / (of + 1))
