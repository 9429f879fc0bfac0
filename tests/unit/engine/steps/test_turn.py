"""An async step's task waits for the turn of its outcome: cancellations are noted, and only the end ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from perdure.engine.branches.attempt import Attempt
from perdure.engine.branches.branch import Branch
from perdure.engine.order.delivery import Delivery
from perdure.engine.order.journal import Recorded
from perdure.engine.steps.turn import Turn
from perdure.engine.tasks.loop import RunLoop
from perdure.errors import Released
from perdure.store.attempts.checkpoint import Answer
from tests.unit.engine.attempts import first_attempt


class Stand:
    """An attempt in a loop of its own, and the task of its main branch, which waits for a turn."""

    def __init__(self, *recorded: Recorded) -> None:
        self.loop = RunLoop()
        self.attempt: Attempt = first_attempt(recorded=recorded, loop=self.loop)
        self.branch = Branch(self.attempt)
        self.noted: list[str] = []

    def run(self, main: Callable[[Stand], Coroutine[Any, Any, None]]) -> None:
        try:
            self.loop.run_until_complete(main(self))
        finally:
            self.loop.close()

    def waits_for(self, turn: Turn) -> asyncio.Task[Any]:
        async def wait() -> None:
            await turn.come()
            self.noted.append("came")

        return self.loop.start_branch(wait(), self.branch)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_without_a_delivery_the_stores_answer_ends_the_wait() -> None:
    async def main(stand: Stand) -> None:
        turn = Turn(stand.branch)
        task = stand.waits_for(turn)
        await turns()
        assert not task.done()
        turn.settle(Answer.DONE)
        await task
        assert (turn.settled, turn.struck, stand.noted) == (Answer.DONE, False, ["came"])

    Stand().run(main)


def test_with_one_it_waits_for_its_turn_as_well() -> None:
    async def main(stand: Stand) -> None:
        scheduler = stand.attempt.scheduler
        first = Delivery(Branch(stand.attempt, "1"), 1, 100, lambda: stand.noted.append("first"))
        turn = Turn(stand.branch)
        turn.delivery = Delivery(stand.branch, 2, 200, turn.wake)
        with scheduler.lock:
            scheduler.wait_live(first)
            scheduler.wait_live(turn.delivery)
        task = stand.waits_for(turn)
        turn.settle(Answer.DONE)
        await turns()
        assert stand.noted == []
        scheduler.stored(first)
        scheduler.running.clear()
        scheduler.pump()
        await task
        assert stand.noted == ["first", "came"]

    Stand().run(main)


def test_a_cancellation_is_noted_and_the_first_message_kept() -> None:
    async def main(stand: Stand) -> None:
        turn = Turn(stand.branch)
        task = stand.waits_for(turn)
        await turns()
        task.cancel("too late")
        task.cancel("again")
        await turns()
        assert not task.done()
        assert (turn.struck, turn.message) == (True, "too late")
        turn.settle(None)
        await task
        assert stand.noted == ["came"]

    Stand().run(main)


def test_a_cancellation_between_the_turn_and_the_tasks_next_step_is_noted_too() -> None:
    """Asyncio raises it in the task: the future is done then, and cannot take it."""

    async def main(stand: Stand) -> None:
        turn = Turn(stand.branch)
        task = stand.waits_for(turn)
        await turns()
        turn.settle(Answer.DONE)
        task.cancel("at the last moment")
        await task
        assert (turn.struck, turn.message, stand.noted) == (True, "at the last moment", ["came"])

    Stand().run(main)


def test_one_that_came_before_the_wait_is_noted_too() -> None:
    async def main(stand: Stand) -> None:
        turn = Turn(stand.branch)
        task = stand.waits_for(turn)
        await asyncio.sleep(0)
        task.cancel("early")
        await turns()
        assert not task.done()
        turn.wake()
        turn.wake()
        await task
        assert turn.message == "early"

    Stand().run(main)


def test_a_step_that_is_recorded_as_cancelled_comes_once_it_is_cancelled() -> None:
    async def main(stand: Stand) -> None:
        turn = Turn(stand.branch)
        turn.delivery = Delivery(stand.branch, 1, 200, turn.wake)
        stand.attempt.scheduler.wait_recorded(turn.delivery)
        task = stand.waits_for(turn)
        await turns()
        assert not task.done()
        task.cancel()
        await task
        assert (turn.struck, turn.message) == (True, None)

    Stand(Recorded("charge", 1, 1, 1, 200, None, None)).run(main)


def test_the_end_of_the_attempt_ends_the_wait() -> None:
    async def main(stand: Stand) -> None:
        turn = Turn(stand.branch)
        task = stand.waits_for(turn)
        await turns()
        stand.attempt.interrupt(Released("moved"))
        with pytest.raises(Released, match="moved"):
            await task
        assert (turn.struck, stand.noted) == (False, [])

    Stand().run(main)


def test_a_turn_that_comes_with_the_end_delivers_nothing() -> None:
    async def main(stand: Stand) -> None:
        turn = Turn(stand.branch)
        task = stand.waits_for(turn)
        await turns()
        turn.settle(Answer.DONE)
        stand.attempt.interrupt(Released("moved"))
        with pytest.raises(Released):
            await task
        assert stand.noted == []

    Stand().run(main)
