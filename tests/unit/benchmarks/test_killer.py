"""The killer goes on until so many faults have struck, whatever is in the way of some of them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.cluster.kills import killer as module
from benchmarks.cluster.kills.faults import Kind, Missed
from benchmarks.cluster.kills.killer import Killer, Pace
from tests.cluster.cluster import Capability


def struck_by(monkeypatch: pytest.MonkeyPatch, kills: int, *of_runs: Kind, of_the_rest: Kind) -> Killer:
    monkeypatch.setattr(module, "OF_RUNS", of_runs)
    monkeypatch.setattr(module, "OF_THE_REST", [of_the_rest])
    scene: Any = SimpleNamespace(cluster=SimpleNamespace(capabilities={Capability.NODE_COMMANDS}), random=Random(1))
    killer = Killer(scene, kills, Pace(runs=0.001, rest=0.01), lambda line: None)
    killer.run()
    return killer


def raising(error: Exception) -> Callable[[Any], None]:
    def strike(scene: Any) -> None:
        raise error

    return strike


def nothing(scene: Any) -> None:
    """A fault that strikes at once."""


def test_what_is_in_the_way_of_one_fault_stops_no_other(monkeypatch: pytest.MonkeyPatch):
    killer = struck_by(
        monkeypatch,
        50,
        Kind("well", 1, nothing),
        Kind("missed", 1, raising(Missed("no such pod"))),
        Kind("odd", 1, raising(ValueError("could not convert string to float: ''"))),
        Kind("not offered here", 100, nothing, Capability.PARTITION),
        of_the_rest=Kind("all", 1, nothing),
    )
    assert set(killer.struck) == {"well", "all"}
    assert killer.struck.total() >= 50
    assert set(killer.missed) == {"missed: Missed", "odd: ValueError"}


def test_one_of_the_rest_that_misses_is_tried_again_until_it_is_enough(monkeypatch: pytest.MonkeyPatch):
    killer = struck_by(
        monkeypatch, 20, Kind("well", 1, nothing), of_the_rest=Kind("all", 1, raising(Missed("killed before")))
    )
    assert set(killer.struck) == {"well"}
