"""Strikes at random until so many faults have struck: runs all the time, the rest one at a time in between."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from .faults import OF_RUNS, OF_THE_REST, Kind, Scene

__all__ = ["Killer", "Pace"]

_AT_A_TIME = 12


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds from fault to fault, on average: of those that strike one run, and of the others."""

    runs: float
    rest: float


class Killer:
    """Of faults on a scene, `kills` times; `say` is told of each of the others and of each hundredth."""

    def __init__(self, scene: Scene, kills: int, pace: Pace, say: Callable[[str], None]) -> None:
        self.struck: Counter[str] = Counter()
        """How often, by kind."""
        self.missed: Counter[str] = Counter()
        """How often something was in the way, by kind and by what it was."""
        self.seconds = 0.0
        """How long it took."""
        self._scene = scene
        self._kills = kills
        self._pace = pace
        self._say = say
        self._lock = threading.Lock()
        self._enough = threading.Event()
        offered = scene.cluster.capabilities
        self._of_runs = [kind for kind in OF_RUNS if kind.needs in offered]
        self._of_the_rest = [kind for kind in OF_THE_REST if kind.needs in offered]

    def run(self) -> None:
        """Strike until it is enough, and wait until the last faults are over."""
        began = time.monotonic()
        with ThreadPoolExecutor(_AT_A_TIME, "killer") as hands:
            rest = hands.submit(self._strike_the_rest)
            strikes: list[Future[bool]] = []
            while not self._enough.wait(self._scene.random.expovariate(1 / self._pace.runs)):
                strikes = [strike for strike in strikes if not strike.done()]
                if len(strikes) < _AT_A_TIME - 1:
                    strikes.append(hands.submit(self._strike, self._of_runs))
        rest.result()
        self.seconds = time.monotonic() - began

    def _strike_the_rest(self) -> None:
        random = Random(self._scene.random.random())
        while not self._enough.wait(random.uniform(0.7, 1.3) * self._pace.rest):
            while not self._enough.is_set() and not self._strike(self._of_the_rest):
                self._enough.wait(1.0)

    def _strike(self, kinds: Sequence[Kind]) -> bool:
        """Whether it struck."""
        (kind,) = self._scene.random.choices(kinds, [kind.weight for kind in kinds])
        try:
            kind.strike(self._scene)
        except Exception as missed:  # noqa: BLE001 - a cluster in which much is dying raises whatever it likes
            with self._lock:
                self.missed[f"{kind.title}: {type(missed).__name__}"] += 1
            return False
        with self._lock:
            self.struck[kind.title] += 1
            if kinds is self._of_the_rest or self.struck.total() % 100 == 0:
                self._say(f"{self.struck.total()} kills, the last: {kind.title}")
            if self.struck.total() >= self._kills:
                self._enough.set()
        return True
