"""The outside world of the programs: what it was told, and what it remembers, for each run apart."""

from __future__ import annotations

import collections
import copy
from typing import Any

import perdure
from perdure.errors import UsageError


class World:
    """What a run, or the plain call, did to it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        self.state: dict[str, Any] = {}


_worlds: dict[object, World] = collections.defaultdict(World)


def world(run: object = None) -> World:
    """The world of the run whose step asks, of `run`, or of plain calls."""
    if run is None:
        try:
            run = perdure.step_context().run_id
        except UsageError:
            run = "plain"
    return _worlds[run]


def tell(what: str, about: Any = None) -> None:
    """Do something in the outside world."""
    world().told.append((what, copy.deepcopy(about)))


def is_plain() -> bool:
    """Whether this step is a plain call."""
    return world() is _worlds.get("plain")


def call_key() -> object:
    """What is this call's own, in all tries and attempts."""
    return object() if is_plain() else perdure.step_context().idempotency_key


def tries() -> int:
    """Which try of its step this is."""
    return 1_000_000 if is_plain() else perdure.step_context().tries


def forget() -> None:
    """A new world for everybody."""
    _worlds.clear()
