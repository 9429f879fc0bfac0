"""Outcomes that a workflow uses before they are stored: in order, one at a time, and nothing passes them."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from perdure.engine.branches.attempt import Attempt
from perdure.engine.branches.unstored import Unstored
from perdure.engine.order.outcome import Outcome
from perdure.engine.tasks.loop import RunLoop
from perdure.errors import Released, RunStopped, StoreUnavailable, Superseded, ValueNotStorable
from perdure.store.attempts.checkpoint import Answer, Checkpoint, Settled
from perdure.store.attempts.inline_committer import InlineCommit
from tests.harness.eventually import eventually
from tests.unit.engine.attempts import first_attempt

STEP: Any = SimpleNamespace(name="charge")


class Store:
    """Takes checkpoints, and answers at once or when the test says."""

    def __init__(self) -> None:
        self.at_once: deque[Settled] = deque()
        self.sent: list[Checkpoint] = []
        self.open: list[InlineCommit] = []

    def start(self, checkpoint: Checkpoint, given_up: Callable[[], bool]) -> InlineCommit:
        commit = InlineCommit(checkpoint, given_up)
        self.sent.append(checkpoint)
        if self.at_once:
            commit.settle(self.at_once.popleft())
        else:
            self.open.append(commit)
        return commit

    def answer(self, settled: Settled = Answer.DONE) -> None:
        """Answer the checkpoint that waits for longest, from another thread."""
        commit = self.open.pop(0)
        thread = threading.Thread(target=commit.settle, args=(settled,))
        thread.start()
        thread.join()

    @property
    def keys(self) -> list[str]:
        return [one.key for one in self.sent]


class Stand:
    """An attempt in a loop, and its outcomes that are not stored."""

    def __init__(self) -> None:
        self.loop = RunLoop()
        self.store = Store()
        self.attempt: Attempt = first_attempt(loop=self.loop)
        committer: Any = self.store
        self.unstored = Unstored(self.attempt, committer)
        self.attempt.unstored = self.unstored
        self.told: list[str] = []
        self.broken: list[dict[str, Any]] = []
        """What callbacks of the loop raised."""
        self.loop.set_exception_handler(lambda _, context: self.broken.append(context))

    def uses(self, key: str, outcome: Outcome | None = None) -> bool:
        """A step has an outcome, which the workflow uses; whether it is stored already."""
        self.attempt.enter_step()
        stored = self.unstored.store(STEP, key, outcome or Outcome(result="1"), 0)
        if stored:
            self.attempt.leave_step()
        return stored

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.loop.run_until_complete(main())


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.loop.close()
    assert made.broken == []


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_the_store_takes_in_a_moment_is_stored(stand: Stand) -> None:
    stand.store.at_once.append(Answer.DONE)

    async def main() -> None:
        assert stand.uses("charge")
        assert not stand.unstored.pending

    stand.run(main)


def test_the_others_are_sent_one_after_the_other_in_order(stand: Stand) -> None:
    async def main() -> None:
        assert [stand.uses(key) for key in ("a", "b", "c")] == [False, False, False]
        assert (stand.store.keys, stand.unstored.pending) == (["a"], True)
        for sent in (["a", "b"], ["a", "b", "c"]):
            stand.store.answer()
            await turns()
            assert stand.store.keys == sent
        assert stand.attempt.in_step, "the last one is under way until it is stored"
        stand.store.answer()
        await turns()
        assert not stand.unstored.pending
        assert (stand.attempt.in_step, stand.attempt.steps_done) == (False, 3)

    stand.run(main)


def test_a_body_waits_until_all_are_stored_in_a_task_and_in_a_thread(stand: Stand) -> None:
    def in_thread() -> None:
        stand.unstored.wait_in_thread()
        stand.told.append("thread")

    async def in_task() -> None:
        await stand.unstored.wait()
        stand.told.append("task")

    async def main() -> None:
        stand.uses("a")
        stand.uses("b")
        stand.unstored.then(lambda: stand.told.append("submitted"))
        thread = threading.Thread(target=in_thread)
        thread.start()
        task = asyncio.create_task(in_task())
        await turns()
        eventually(lambda: stand.unstored._gates, 10)
        stand.store.answer()
        await turns()
        assert stand.told == []
        stand.store.answer()
        await task
        thread.join(10)
        assert stand.told[0] == "submitted", "what was used before is stored before"
        assert sorted(stand.told[1:]) == ["task", "thread"]

    stand.run(main)


def test_with_nothing_to_wait_for_nobody_waits(stand: Stand) -> None:
    async def main() -> None:
        stand.unstored.hold()
        stand.unstored.wait_in_thread()
        await stand.unstored.wait()
        await stand.unstored.settle_end()

    stand.run(main)


def test_a_sync_step_holds_the_loop_until_all_are_stored(stand: Stand) -> None:
    async def main() -> None:
        stand.uses("a")
        stand.uses("b")
        stand.store.answer()
        stand.store.at_once.append(Answer.DONE)
        stand.unstored.hold()
        assert (stand.unstored.pending, stand.store.keys) == (False, ["a", "b"])
        await turns()
        assert stand.attempt.steps_done == 2, "the answers are taken once, though the loop hears of them again"

    stand.run(main)


def test_but_not_while_somebody_locks_the_runs_row(stand: Stand) -> None:
    """The other runs of the loop must not wait for that lock."""

    async def main() -> None:
        stand.uses("a")
        stand.store.open[0].note_lock()
        with pytest.raises(Released, match="somebody locks the run's row"):
            stand.unstored.hold()
        assert isinstance(stand.attempt.signal, Released)

    stand.run(main)


@pytest.mark.parametrize("settled", [Answer.SUPERSEDED, StoreUnavailable("no answer")])
def test_an_answer_that_ends_the_attempt_drops_those_behind_it(stand: Stand, settled: Settled) -> None:
    async def main() -> None:
        stand.uses("a")
        stand.uses("b")
        waits = asyncio.create_task(stand.unstored.wait())
        await turns()
        stand.store.answer(settled)
        with pytest.raises((Superseded, Released)):
            await waits
        assert (stand.unstored.pending, stand.store.keys, stand.attempt.in_step) == (False, ["a"], False)
        with pytest.raises((Superseded, Released)):
            stand.unstored.hold()

    stand.run(main)


def test_one_in_the_first_moment_ends_the_attempt_there(stand: Stand) -> None:
    stand.store.at_once.append(Answer.KEY_TAKEN)

    async def main() -> None:
        with pytest.raises(RunStopped):
            stand.uses("a")

    stand.run(main)


def test_a_value_that_is_refused_in_the_first_moment_is_an_error_that_the_workflow_sees(stand: Stand) -> None:
    stand.store.at_once.extend([ValueNotStorable("a NUL"), Answer.DONE])
    outcome = Outcome(result='"\\u0000"', value="\0")

    async def main() -> None:
        assert stand.uses("a", outcome)

    stand.run(main)
    assert isinstance(outcome.raised, ValueNotStorable)
    assert [(one.result is None, one.error is None) for one in stand.store.sent] == [(False, True), (True, False)]
    assert stand.attempt.signal is None


def test_one_that_is_refused_later_is_stored_as_an_error_and_the_attempt_ends(stand: Stand) -> None:
    """The workflow has gone on with the value: only the next attempt can see the error."""

    async def main() -> None:
        stand.uses("a", Outcome(result='"\\u0000"', value="\0"))
        stand.uses("b")
        stand.store.answer(ValueNotStorable("a NUL"))
        await turns()
        assert (stand.store.keys, stand.attempt.signal) == (["a", "a"], None)
        assert stand.store.sent[1].error is not None
        stand.store.answer()
        await turns()
        assert isinstance(stand.attempt.signal, Released)
        assert "a NUL" in str(stand.attempt.signal)
        assert (stand.unstored.pending, stand.store.keys) == (False, ["a", "a"])

    stand.run(main)


def test_the_end_waits_for_what_was_used_unless_another_attempt_owns_the_run(stand: Stand) -> None:
    async def main() -> None:
        stand.uses("a")
        stand.attempt.interrupt(Released("the pod ends"))
        ends = asyncio.create_task(stand.unstored.settle_end())
        await turns()
        assert not ends.done()
        stand.attempt.interrupt(Superseded("by attempt 2"))
        await asyncio.wait_for(ends, 10)
        assert stand.unstored.pending

    stand.run(main)


def test_the_end_of_the_attempt_wakes_a_thread_that_waits(stand: Stand) -> None:
    raised: list[BaseException] = []

    def in_thread() -> None:
        try:
            stand.unstored.wait_in_thread()
        except Released as error:
            raised.append(error)

    async def main() -> None:
        stand.uses("a")
        thread = threading.Thread(target=in_thread)
        thread.start()
        eventually(lambda: stand.unstored._gates, 10)
        stand.attempt.interrupt(Released("the pod ends"))
        thread.join(10)
        assert raised == [stand.attempt.signal]

    stand.run(main)
