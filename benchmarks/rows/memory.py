"""Resident memory of a worker: idle, and with 1,000 async runs in flight."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from benchmarks.contestants import flows
from benchmarks.ground import Ground
from benchmarks.table import Row, Series
from perdure.client import Client
from tests.harness.eventually import eventually

_RUNS = 1000


def rows(ground: Ground, rounds: int) -> Iterable[Row]:
    taken = [_worker(ground) for _ in range(min(rounds, 3))]
    idle, heart, full = (Series(figure) for figure in zip(*taken, strict=True))
    yield Row("memory of an idle worker", idle.text("MB", 1), aim="60 MB", reached=idle.median <= 60)
    yield Row("memory of its heartbeat process, there once it has had work", heart.text("MB", 1))
    more = full.minus(idle)
    yield Row(f"more with {_RUNS:,} async runs in flight", more.text("MB", 1), aim="15 MB", reached=more.median <= 15)


def _worker(ground: Ground) -> tuple[float, float, float]:
    database = ground.perdure()
    log = ground.workspace.new_folder("log") / "log"
    variables = {"BENCH_STALL_AT": "0", "BENCH_LOG": str(log)}
    with ground.start("ours:worker", variables=variables, url=database.url) as worker, Client(database.url) as client:
        try:
            # One run, so that everything that a worker needs at work is there.
            client.start(flows.first_step).result(60)
            process = psutil.Process(worker.pid)
            idle = _resident(process)
            for run in range(_RUNS):
                client.start(flows.ten_steps, run)
            eventually(lambda: len(log.read_text().splitlines()) == _RUNS if log.exists() else False, 60, every=0.1)
            return idle, sum(_resident(child) for child in process.children()), _resident(process)
        finally:
            worker.kill()


def _resident(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e6
