"""Steps of many async runs share statements; a lone run waits for nobody; one bad value or lock stalls no other."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from functools import partial
from typing import Any

from perdure import step, workflow
from perdure.attempt_results import AttemptResult, Succeeded
from perdure.engine.branches.attempt import Attempt
from perdure.engine.tasks.loop import RunLoop
from perdure.engine.workflow_call import execute_async
from perdure.errors import ValueNotStorable
from perdure.store.attempts.checkpoint import Answer, Checkpoint, Settled
from perdure.store.attempts.loop_committer import LoopCommitter
from perdure.store.attempts.thread_committer import ThreadCommitter
from perdure.store.postgres.opener import Opener
from tests.harness.databases import Database

from ...engine.attempts import Begun, Run
from .checkpoints import checkpoint_of, statements_sent, stored

STEPS = 40


@step
async def count_async(number: int) -> int:
    return number


@workflow
async def counting_async() -> int:
    return sum([await count_async(n) for n in range(STEPS)])


def _together(url: str, begun: list[Begun], workflow_: Any) -> list[AttemptResult]:
    loop = RunLoop()
    opener = Opener(url)
    committer = ThreadCommitter(opener, alone=False)
    batches = LoopCommitter(opener, loop)
    batches.runs = len(begun)

    async def all_of_them() -> list[AttemptResult]:
        attempts = [Attempt(one.claimed, one.recorded, committer, loop=loop, loop_committer=batches) for one in begun]
        return list(await asyncio.gather(*[execute_async(workflow_.definition, attempt) for attempt in attempts]))

    try:
        return loop.run_until_complete(all_of_them())
    finally:
        batches.close()
        committer.close()
        loop.close()


def test_concurrent_async_runs_share_statements(database: Database) -> None:
    begun = [Run(database.url, counting_async).begin() for _ in range(32)]
    database.server.reset_statements()
    endings = _together(database.url, begun, counting_async)
    assert set(endings) == {Succeeded(str(sum(range(STEPS))))}
    assert stored(database) == 32 * STEPS
    assert statements_sent(database, "checkpoint") + statements_sent(database, "checkpoints") < 32 * STEPS / 4


def test_a_lone_async_run_sends_each_step_at_once(database: Database) -> None:
    begun = Run(database.url, counting_async).begin()
    database.server.reset_statements()
    [ending] = _together(database.url, [begun], counting_async)
    assert isinstance(ending, Succeeded)
    assert (statements_sent(database, "checkpoint"), statements_sent(database, "checkpoints")) == (STEPS, 0)


def _submit_all(url: str, checkpoints: list[Checkpoint], until: Any) -> dict[int, Settled]:
    """Submit at one instant, so that they make one batch; run the loop until `until(settled)`."""
    loop = RunLoop()
    settled: dict[int, Settled] = {}
    batches = LoopCommitter(Opener(url), loop, connections=1)
    batches.runs = len(checkpoints)

    async def main() -> None:
        for place, checkpoint in enumerate(checkpoints):
            batches.submit(checkpoint, partial(settled.__setitem__, place))
        async with asyncio.timeout(20):
            while not until(settled):
                await asyncio.sleep(0.01)

    try:
        loop.run_until_complete(main())
    finally:
        batches.close()
        loop.close()
    return settled


def test_a_poisoned_value_in_a_batch_fails_alone(database: Database) -> None:
    begun = [Run(database.url, counting_async).begin() for _ in range(8)]
    checkpoints = [checkpoint_of(one, 1, "1") for one in begun]
    checkpoints[3] = replace(checkpoints[3], result="{this is no JSON")
    settled = _submit_all(database.url, checkpoints, lambda s: len(s) == 8)
    assert isinstance(settled.pop(3), ValueNotStorable)
    assert set(settled.values()) == {Answer.DONE}
    assert stored(database) == 7


def test_a_superseded_run_in_a_batch_is_refused_alone(database: Database) -> None:
    runs = [Run(database.url, counting_async) for _ in range(4)]
    begun = [one.begin() for one in runs]
    runs[2].claim()
    settled = _submit_all(database.url, [checkpoint_of(one, 1, "1") for one in begun], lambda s: len(s) == 4)
    assert [settled[n] for n in range(4)] == [Answer.DONE, Answer.DONE, Answer.SUPERSEDED, Answer.DONE]


def test_a_locked_row_in_a_batch_waits_alone(database: Database) -> None:
    begun = [Run(database.url, counting_async).begin() for _ in range(6)]
    with database.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", [begun[2].claimed.run_id])
        released = threading.Event()

        def others_done(settled: dict[int, Settled]) -> bool:
            if len(settled) == 5 and not released.is_set():
                assert 2 not in settled
                holder.execute("ROLLBACK")
                released.set()
            return len(settled) == 6

        settled = _submit_all(database.url, [checkpoint_of(one, 1, "1") for one in begun], others_done)
    assert set(settled.values()) == {Answer.DONE}
    assert stored(database) == 6
