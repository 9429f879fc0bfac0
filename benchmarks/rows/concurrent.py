"""Steps per second of many async workflows in one process."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from benchmarks.ground import Ground
from benchmarks.table import Row, paired

_STEPS = {1: 3000, 16: 500, 64: 250}
_DBOS_STEPS = {1: 200, 16: 20, 64: 6}


def rows(ground: Ground, rounds: int) -> Iterable[Row]:
    ours, dbos = ground.perdure(), ground.dbos()
    for runs in (1, 16, 64):
        contestants = {
            "ours": partial(ground.measure, "ours:async_steps", url=ours.url, runs=runs, steps=_STEPS[runs]),
            "dbos": partial(ground.measure, "dbos_peer:async_steps", url=dbos.url, runs=runs, steps=_DBOS_STEPS[runs]),
            "floor": partial(ground.measure, "floor:steps", url=ours.url, steps=_STEPS[runs])
            if runs == 1
            else partial(ground.measure, "floor:batches", url=ours.url, runs=runs, steps=_STEPS[runs]),
        }
        taken = paired(rounds, **contestants)
        rate = {name: figures["per_second"] for name, figures in taken.items()}
        to_floor, to_dbos = rate["ours"].over(rate["floor"]), rate["ours"].over(rate["dbos"])
        floor = "the statement" if runs == 1 else f"the statement for {runs}"
        work = f"steps/s, {runs} async workflow{'s' * (runs > 1)} in one process"
        last = runs == 64
        yield Row(
            work,
            rate["ours"].text(),
            f"{floor} {rate['floor'].text()}",
            to_floor.text(digits=2),
            "15,000/s or 0.4" if last else "",
            (rate["ours"].median >= 15_000 or to_floor.median >= 0.4) if last else None,
        )
        reached = to_dbos.median >= 50 if last else None
        yield Row(work, "", f"dbos {rate['dbos'].text()}", to_dbos.text(digits=1), "50" if last else "", reached)
        cpu, floor_cpu = taken["ours"]["cpu_ms"], taken["floor"]["cpu_ms"]
        yield Row(f"client CPU per step, {runs} async", cpu.text("ms", 3), f"the statement {floor_cpu.text('ms', 3)}")
