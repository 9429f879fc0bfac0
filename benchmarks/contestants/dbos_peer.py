"""DBOS Transact with its defaults, apart from its log level: the same workflows, written as its manual says."""

from __future__ import annotations

import asyncio
import os
import time
from threading import Event
from typing import TYPE_CHECKING, Any

from benchmarks.contestants.gauge import Gauge

if TYPE_CHECKING:
    from dbos import DBOS

_WARM = 10
_RUNS = 1000


def migrate(url: str) -> None:
    """Make its schema."""
    _launched(url).destroy()


def sync_steps(url: str, steps: int) -> dict[str, float]:
    """One workflow of many steps, called directly."""
    from dbos import DBOS

    gauges: list[Gauge] = []

    @DBOS.step()
    def plain(number: int) -> int:
        gauges[-1].step()
        return number

    @DBOS.workflow()
    def flow(steps: int) -> None:
        gauges[-1].begin()
        for number in range(steps):
            plain(number)
        gauges[-1].end()

    dbos = _launched(url)
    for count in (_WARM, steps):
        gauges.append(Gauge(1))
        flow(count)
    dbos.destroy()
    return gauges[-1].figures()


def async_steps(url: str, runs: int, steps: int) -> dict[str, float]:
    """Many workflows at the same time, in one event loop."""
    from dbos import DBOS

    gauges: list[Gauge] = []

    @DBOS.step()
    async def plain(number: int) -> int:
        gauges[-1].step()
        return number

    @DBOS.workflow()
    async def flow(steps: int) -> None:
        gauges[-1].begin()
        for number in range(steps):
            await plain(number)
        gauges[-1].end()

    async def main() -> None:
        for count in (2, steps):
            gauges.append(Gauge(runs))
            handles = await asyncio.gather(*[DBOS.start_workflow_async(flow, count) for _ in range(runs)])
            await asyncio.gather(*[handle.get_result() for handle in handles])

    dbos = _launched(url)
    asyncio.run(main())
    dbos.destroy()
    return gauges[-1].figures()


def first_steps(url: str, count: int) -> dict[str, float]:
    """Enqueue a workflow on an idle queue: milliseconds until its first step, one figure for each."""
    from dbos import DBOS

    @DBOS.step()
    def moment() -> float:
        return time.monotonic()

    @DBOS.workflow()
    def flow() -> float:
        return moment()

    dbos = _launched(url)
    DBOS.register_queue("work")
    taken: list[float] = []
    for _ in range(count):
        begun = time.monotonic()
        taken.append((DBOS.enqueue_workflow("work", flow).get_result() - begun) * 1e3)
    dbos.destroy()
    return {str(number): one for number, one in enumerate(taken)}


def one_step_runs(url: str, count: int, steps: int) -> dict[str, float]:
    """Workflows one after the other, started and waited for."""
    from dbos import DBOS

    @DBOS.step()
    def plain() -> float:
        return 1.0

    @DBOS.workflow()
    def flow(steps: int) -> None:
        for _ in range(steps):
            plain()

    dbos = _launched(url)
    for _ in range(count):
        DBOS.start_workflow(flow, steps).get_result()
    dbos.destroy()
    return {}


def idle(url: str) -> None:
    """A process that waits for work on a queue, until it is ended."""
    from dbos import DBOS

    _launched(url)
    DBOS.register_queue("work")
    print("ready", flush=True)
    Event().wait()


def recover(url: str, runs: int) -> None:
    """Start workflows of ten steps; or, where there are some, recover them, as every launch does."""
    from dbos import DBOS

    log = os.open(os.environ["BENCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    stall_at = int(os.environ.get("BENCH_STALL_AT", "-1"))

    @DBOS.step()
    def logged(run: int, number: int) -> int:
        os.write(log, b"%d %d\n" % (run, number))
        if number == stall_at:
            Event().wait()
        return number

    @DBOS.workflow()
    def ten_steps(run: int) -> int:
        for number in range(10):
            logged(run, number)
        return run

    _launched(url)
    for run in range(runs):
        DBOS.start_workflow(ten_steps, run)
    print("ready", flush=True)
    Event().wait()


def _launched(url: str) -> type[DBOS]:
    from dbos import DBOS

    config: dict[str, Any] = {"name": "bench", "system_database_url": url, "log_level": "ERROR"}
    DBOS(config=config)
    DBOS.launch()
    return DBOS
