"""Perdure's workflows in the benchmarks. What they measure of themselves decides nothing, so replay does not mind."""

from __future__ import annotations

import asyncio
import os

from benchmarks.contestants.gauge import Gauge
from benchmarks.contestants.moments import first_step, moment
from perdure import step, workflow

__all__ = ["async_steps", "first_step", "gauges", "many_moments", "sync_steps", "ten_steps"]

gauges: list[Gauge] = []
"""The last one counts."""

_LOG = os.environ.get("BENCH_LOG")
_STALL_AT = int(os.environ.get("BENCH_STALL_AT", "-1"))
_log = os.open(_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if _LOG else None


@step
def plain(number: int) -> int:
    gauges[-1].step()
    return number


@workflow
def sync_steps(steps: int) -> None:
    gauges[-1].begin()
    for number in range(steps):
        plain(number)
    gauges[-1].end()


@step
async def plain_async(number: int) -> int:
    gauges[-1].step()
    return number


@workflow
async def async_steps(steps: int) -> None:
    gauges[-1].begin()
    for number in range(steps):
        await plain_async(number)
    gauges[-1].end()


@workflow
def many_moments(steps: int) -> None:
    for _ in range(steps):
        moment()


@step
async def logged(run: int, number: int) -> int:
    if _log is not None:
        os.write(_log, b"%d %d\n" % (run, number))
    if number == _STALL_AT:
        await asyncio.Event().wait()
    return number


@workflow
async def ten_steps(run: int) -> int:
    for number in range(10):
        await logged(run, number)
    return run
