"""Before a body begins, the past is settled, or the attempt ends."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from perdure.engine.branches.branch import Branch
from perdure.engine.order.journal import Journal
from perdure.engine.order.scheduler import Scheduler
from perdure.engine.steps.settling import settle, settle_in_thread
from perdure.errors import Released

STEP: Any = SimpleNamespace(name="charge")
RESERVED: Any = SimpleNamespace(name="perdure.cancel")


class Stand:
    """An attempt that begins at a second of its run's clock."""

    def __init__(self) -> None:
        self.scheduler = Scheduler(Journal([]), print, clock=lambda: 0, reading=1_000_000)
        # Workflow code runs, so nothing is settled by itself.
        self.elsewhere = Branch(cast("Any", None), "9")
        self.scheduler.resume_thread(self.elsewhere)
        self.ended = False
        self.entered = 0
        self.branch: Any = SimpleNamespace(attempt=self)

    def check(self) -> None:
        if self.ended:
            raise Released("it ends")

    def enter_step(self) -> None:
        self.entered += 1

    def end(self) -> None:
        self.ended = True
        self.scheduler.wake_all()

    def in_thread(self) -> tuple[threading.Thread, list[str]]:
        told: list[str] = []

        def wait() -> None:
            try:
                settle_in_thread(STEP, self.branch, lone=False)
                told.append("settled")
            except Released:
                told.append("released")

        thread = threading.Thread(target=wait)
        thread.start()
        return thread, told


def test_a_lone_branch_settles_it_at_once() -> None:
    stand = Stand()
    settle_in_thread(STEP, stand.branch, lone=True)
    assert stand.scheduler.settled
    assert stand.scheduler.now == pytest.approx(1.0)


def test_a_step_without_effects_does_not_wait() -> None:
    stand = Stand()
    settle_in_thread(RESERVED, stand.branch, lone=False)
    assert asyncio.run(settle(RESERVED, stand.branch, lone=False)) is None
    assert not stand.scheduler.settled


def test_a_thread_waits_until_the_run_rests_with_nothing_left() -> None:
    stand = Stand()
    thread, told = stand.in_thread()
    assert told == []
    stand.scheduler.rest_thread(stand.elsewhere)
    thread.join(10)
    assert told == ["settled"]


def test_a_thread_waits_no_longer_than_its_attempt_lives() -> None:
    stand = Stand()
    thread, told = stand.in_thread()
    stand.end()
    thread.join(10)
    assert told == ["released"]


def test_a_task_that_is_cancelled_meanwhile_has_an_outcome_without_a_try() -> None:
    async def waits() -> Any:
        task = asyncio.create_task(settle(STEP, stand.branch, lone=False))
        await asyncio.sleep(0)
        task.cancel("too late")
        return await task

    stand = Stand()
    outcome = asyncio.run(waits())
    assert (outcome.tries, outcome.cancelled, outcome.message) == (0, True, "too late")
    assert stand.entered == 1, "it counts as under way until that is stored"


def test_a_task_waits_until_it_is_settled() -> None:
    async def waits() -> Any:
        task = asyncio.create_task(settle(STEP, stand.branch, lone=False))
        await asyncio.sleep(0)
        assert not task.done()
        stand.scheduler.rest_thread(stand.elsewhere)
        return await task

    stand = Stand()
    assert asyncio.run(waits()) is None
    assert stand.scheduler.settled
