"""Steps per second where each commit waits for the disk, which every contestant pays alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from benchmarks.ground import Ground
from benchmarks.table import Row, paired

_BLOCK = 8192


def rows(_: Ground, rounds: int) -> Iterable[Row]:
    with Ground(fsync=True) as ground:
        flush = _flush(ground.workspace.new_folder("flush"))
        ours, dbos = ground.perdure(), ground.dbos()
        taken = paired(
            rounds,
            floor=partial(ground.measure, "floor:steps", url=ours.url, steps=500),
            ours=partial(ground.measure, "ours:sync_steps", url=ours.url, steps=500),
            dbos=partial(ground.measure, "dbos_peer:sync_steps", url=dbos.url, steps=100),
        )
    rate = {name: figures["per_second"] for name, figures in taken.items()}
    work = f"steps/s with fsync, one sync workflow; a flush takes {flush}"
    yield Row(
        work, rate["ours"].text(), f"floor {rate['floor'].text()}", rate["ours"].over(rate["floor"]).text(digits=2)
    )
    yield Row(work, "", f"dbos {rate['dbos'].text()}", rate["ours"].over(rate["dbos"]).text(digits=1))


def _flush(folder: Path) -> str:
    descriptor = os.open(folder / "file", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, bytes(64 * _BLOCK))
    os.fsync(descriptor)
    taken: list[float] = []
    for number in range(300):
        os.pwrite(descriptor, b"x" * _BLOCK, number % 64 * _BLOCK)
        begun = time.perf_counter()
        os.fdatasync(descriptor)
        taken.append((time.perf_counter() - begun) * 1e3)
    os.close(descriptor)
    tenths = statistics.quantiles(taken, n=10)
    return f"{statistics.median(taken):.1f} ms (a tenth {tenths[-1]:.1f} or more)"
