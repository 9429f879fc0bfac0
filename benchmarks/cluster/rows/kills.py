"""Random kills over processes, pods, operators and Postgres under load, and what of the guarantees came of it.

Two operators. Runs are in flight all the time, each of some dozens of short steps. When enough has been struck, no new
ones are created, and those that are left must come to their end; then every run's story is judged.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random

from benchmarks.cluster.ground import ClusterGround
from benchmarks.cluster.kills import notes
from benchmarks.cluster.kills.faults import Scene
from benchmarks.cluster.kills.killer import Killer, Pace
from benchmarks.cluster.kills.load import Load
from benchmarks.cluster.kills.plans import plans
from benchmarks.cluster.kills.stories import read
from benchmarks.cluster.kills.verdict import Story, Violation, Wrong, judge, silence
from benchmarks.table import Row
from tests.cluster.evidence import Evidence
from tests.cluster.product import operator
from tests.cluster.product.installation import Installation
from tests.harness.eventually import eventually

_IN_FLIGHT = 16
_PACE = Pace(runs=0.55, rest=18)
_SETTLED = 300.0  # seconds within which all must have ended that was alive at the last kill
_SHOWN = 20
_CUT = 2000


def rows(ground: ClusterGround, _rounds: int) -> Iterable[Row]:
    seed = Random().randrange(2**32) if ground.seed is None else ground.seed
    ground.say(f"{ground.kills} kills, seed {seed}")
    installation = ground.installation
    notes.prepare(installation.store)
    with _two_operators(installation), installation.workspace() as namespace:
        scene = Scene(installation, namespace, Random(seed))
        with Load.on(installation.cluster, namespace, plans(Random(seed)), _IN_FLIGHT) as load:
            eventually(lambda: len(load.unfinished()) == _IN_FLIGHT, 60, every=0.5)
            killer = Killer(scene, ground.kills, _PACE, ground.say)
            killer.run()
            last = time.monotonic()
            load.drain()
            settled = _settled(scene, load)
            ground.say(f"the last run had ended {time.monotonic() - last:.0f} s after the last kill: {settled}")
        stories = list(read(installation.store, list(load.started.values())))
        violations = [violation for story in stories for violation in judge(story)]
        _tell(ground, killer, load, stories, violations)
        if violations:
            _keep(installation, namespace)
    yield from _rows(killer, stories, violations)


def _settled(scene: Scene, load: Load) -> bool:
    scene.until_all_is_back()
    try:
        return eventually(lambda: not load.unfinished(), _SETTLED, every=1)
    except AssertionError:
        return False


@contextmanager
def _two_operators(installation: Installation) -> Iterator[None]:
    operator.scale(installation.cluster.api, installation.namespace, 2)
    try:
        yield
    finally:
        operator.scale(installation.cluster.api, installation.namespace, 1)


def _rows(killer: Killer, stories: list[Story], violations: list[Violation]) -> Iterator[Row]:
    work = f"{killer.struck.total():,} random kills under load, {len(stories):,} runs"
    for wrong in Wrong:
        found = [one for one in violations if one.wrong is wrong]
        number = len(found) if wrong is Wrong.REPEATED else len({one.run for one in found})
        yield Row(f"{work}: {wrong}", f"{number}", aim="0", reached=number == 0)


def _tell(ground: ClusterGround, killer: Killer, load: Load, stories: list[Story], violations: list[Violation]) -> None:
    endings = Counter(attempt["ending"] for story in stories for attempt in story.attempts)
    states = Counter(story.run["state"] if story.run else None for story in stories)
    executions = [one for story in stories for one in story.executions]
    steps = {(one["run_id"], one["step_key"]) for one in executions}
    refused = sum(one["held_done"] is False for one in executions)
    overlapping = sum(not one["held"] for one in executions)
    quiet = max((silence(story), story.started.plan.name) for story in stories if story.run)
    ground.say(f"struck: {_counted(killer.struck)}")
    ground.say(f"missed: {_counted(killer.missed)}")
    ground.say(f"{killer.struck.total() / killer.seconds * 60:.1f} kills/min over {killer.seconds:.0f} s")
    ground.say(f"{len(stories)} runs: {_counted(states)}; attempts: {_counted(endings)}")
    ground.say(f"pods by exit code: {_counted(load.exits)}")
    ground.say(f"{len(steps)} steps, {len(executions) - len(steps)} executions more than that")
    ground.say(f"{refused} outcomes brought by attempts that had lost their run; {overlapping} steps begun by such")
    ground.say(f"longest time without progress: {quiet[0]:.0f} s, of {quiet[1]}")
    for violation in violations[:_SHOWN]:
        ground.say(f"{violation.wrong}: {violation.run}: {violation.what[:_CUT]}")


def _counted(counter: Counter[str] | Counter[int] | Counter[str | None]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counter.most_common())


def _keep(installation: Installation, namespace: str) -> None:
    evidence = Evidence()
    for kept in (installation.namespace, namespace):
        evidence.keep_namespace(installation.cluster, kept, "kills")
    evidence.keep_parts(installation.cluster)
