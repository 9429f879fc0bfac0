"""Steps per second of one sync workflow, and the CPU that each costs its process."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from benchmarks.ground import Ground
from benchmarks.table import Row, paired


def rows(ground: Ground, rounds: int) -> Iterable[Row]:
    ours, dbos, absurd = ground.perdure(), ground.dbos(), ground.absurd()
    contestants = {
        "floor": partial(ground.measure, "floor:steps", url=ours.url, steps=4000),
        "ours": partial(ground.measure, "ours:sync_steps", url=ours.url, steps=4000),
        "dbos": partial(ground.measure, "dbos_peer:sync_steps", url=dbos.url, steps=400),
        "absurd": partial(ground.measure, "absurd_peer:steps", url=absurd.url, steps=1000),
    }
    taken = paired(rounds, **contestants)
    rate = {name: figures["per_second"] for name, figures in taken.items()}
    cpu = {name: figures["cpu_ms"] for name, figures in taken.items()}
    work = "steps/s, one sync workflow"
    to_floor, to_dbos = rate["ours"].over(rate["floor"]), rate["ours"].over(rate["dbos"])
    yield Row(
        work,
        rate["ours"].text(),
        f"floor {rate['floor'].text()}",
        to_floor.text(digits=2),
        "0.85",
        to_floor.median >= 0.85,
    )
    yield Row(work, "", f"dbos {rate['dbos'].text()}", to_dbos.text(digits=1), "12", to_dbos.median >= 12)
    yield Row(work, "", f"absurd {rate['absurd'].text()}", rate["ours"].over(rate["absurd"]).text(digits=1))
    yield Row(
        "client CPU per step, sync",
        cpu["ours"].text("ms", 3),
        f"floor {cpu['floor'].text('ms', 3)}, dbos {cpu['dbos'].text('ms', 2)}",
        cpu["ours"].over(cpu["dbos"]).text(digits=3),
        "0.15 ms",
        cpu["ours"].median <= 0.15,
    )
