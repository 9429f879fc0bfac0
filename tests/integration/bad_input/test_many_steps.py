"""Ten thousand steps in one run: they are stored at a steady pace, and replayed without running again."""

from __future__ import annotations

import gc
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from perdure import step, workflow
from perdure.attempt_results import AttemptResult, Succeeded
from tests.harness.databases import Database
from tests.integration.engine.attempts import Run

STEPS = 10_000

ran = 0


@step
def add(number: int) -> int:
    global ran
    ran += 1
    return number


@step
async def add_async(number: int) -> int:
    global ran
    ran += 1
    return number


@workflow
def many() -> int:
    return sum(add(n) for n in range(STEPS))


@workflow
async def many_async() -> int:
    return sum([await add_async(n) for n in range(STEPS)])


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _unfinished(run: Run) -> AttemptResult:
    """An attempt whose process dies when all is done but the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "finish", lambda *_: None)
        return run.attempt()


@pytest.mark.parametrize("flow", [many, many_async])
def test_ten_thousand_steps_in_one_run(database: Database, flow: Any) -> None:
    global ran
    ran = 0
    run = Run(database.url, flow)
    before, begun = _resident(), time.perf_counter()
    assert _unfinished(run) == Succeeded(str(sum(range(STEPS))))
    live = time.perf_counter() - begun
    assert ran == STEPS

    begun = time.perf_counter()
    assert run.attempt() == Succeeded(str(sum(range(STEPS))))
    replayed = time.perf_counter() - begun

    assert ran == STEPS, "no step ran again"
    assert replayed < live / 2
    assert _resident() - before < 64 << 20
    assert database.query("SELECT count(*), max(ordinal), max(attempt) FROM perdure.steps") == [(STEPS, STEPS, 1)]
