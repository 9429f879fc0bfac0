"""Steps of many runs share statements; a lone run waits for nobody; one bad value or locked row stalls nobody else."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from perdure import step, workflow
from perdure.engine.attempt import Attempt
from perdure.engine.loop import RunLoop
from perdure.engine.workflow_call import Ending, execute, execute_async
from perdure.errors import ValueNotStorable
from perdure.store.attempts.checkpoint import Answer, Checkpoint, Settled
from perdure.store.attempts.loop_committer import LoopCommitter
from perdure.store.attempts.thread_committer import ThreadCommitter
from perdure.store.postgres.opener import Opener
from tests.harness.databases import Database
from tests.harness.eventually import eventually

from .attempts import Begun, Run

STEPS = 40


@step
async def count_async(number: int) -> int:
    return number


@step
def count(number: int) -> int:
    return number


@workflow
async def counting_async() -> int:
    return sum([await count_async(n) for n in range(STEPS)])


@workflow
def counting() -> int:
    return sum(count(n) for n in range(STEPS))


def _statements(database: Database, function: str) -> int:
    return sum(
        calls for sql, calls in database.server.statements(database.name).items() if f"perdure.{function}(" in sql
    )


def _stored(database: Database) -> int:
    [(steps,)] = database.query("SELECT count(*) FROM perdure.steps")
    return int(steps)


def _together(url: str, begun: list[Begun], workflow_: Any) -> list[Ending]:
    loop = RunLoop()
    opener = Opener(url)
    committer = ThreadCommitter(opener, alone=False)
    batches = LoopCommitter(opener, loop)
    batches.runs = len(begun)

    async def all_of_them() -> list[Ending]:
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
    assert {ending.result for ending in endings} == {str(sum(range(STEPS)))}
    assert _stored(database) == 32 * STEPS
    assert _statements(database, "checkpoint") + _statements(database, "checkpoints") < 32 * STEPS / 4


def test_concurrent_sync_runs_share_statements(database: Database) -> None:
    begun = [Run(database.url, counting).begin() for _ in range(16)]
    database.server.reset_statements()
    committer = ThreadCommitter(Opener(database.url), alone=False)
    with ThreadPoolExecutor(16) as threads:
        ending = threads.map(lambda one: execute(counting.definition, Attempt(one.claimed, [], committer)), begun)  # type: ignore[attr-defined]
        assert {one.state for one in ending} == {"succeeded"}
    committer.close()
    assert _stored(database) == 16 * STEPS
    assert _statements(database, "checkpoint") + _statements(database, "checkpoints") < 16 * STEPS


def test_a_lone_sync_run_commits_in_its_own_thread_with_one_statement_a_step(database: Database) -> None:
    begun = Run(database.url, counting).begin()
    committer = ThreadCommitter(Opener(database.url))
    database.server.reset_statements()
    before = threading.active_count()
    threads: set[int] = set()
    commit = committer.commit

    def seen(checkpoint: Checkpoint, *_: Any) -> Settled:
        threads.add(threading.get_ident())
        assert threading.active_count() == before
        return commit(checkpoint)

    committer.commit = seen  # type: ignore[method-assign, assignment]
    execute(counting.definition, Attempt(begun.claimed, [], committer))  # type: ignore[attr-defined]
    committer.close()
    assert threads == {threading.get_ident()}
    assert _statements(database, "checkpoint") == STEPS


def test_a_lone_async_run_sends_each_step_at_once(database: Database) -> None:
    begun = Run(database.url, counting_async).begin()
    database.server.reset_statements()
    [ending] = _together(database.url, [begun], counting_async)
    assert ending.state == "succeeded"
    assert (_statements(database, "checkpoint"), _statements(database, "checkpoints")) == (STEPS, 0)


def _checkpoint(begun: Begun, ordinal: int, result: str) -> Checkpoint:
    run, claim = str(begun.claimed.run_id).encode(), str(begun.claimed.token).encode()
    return Checkpoint(run, claim, f"work#{ordinal}", ordinal, "work", 1, 0, 10, result, None)


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
    checkpoints = [_checkpoint(one, 1, "1") for one in begun]
    checkpoints[3] = replace(checkpoints[3], result="{this is no JSON")
    settled = _submit_all(database.url, checkpoints, lambda s: len(s) == 8)
    assert isinstance(settled.pop(3), ValueNotStorable)
    assert set(settled.values()) == {Answer.DONE}
    assert _stored(database) == 7


def test_a_superseded_run_in_a_batch_is_refused_alone(database: Database) -> None:
    runs = [Run(database.url, counting_async) for _ in range(4)]
    begun = [one.begin() for one in runs]
    runs[2].claim()
    settled = _submit_all(database.url, [_checkpoint(one, 1, "1") for one in begun], lambda s: len(s) == 4)
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

        settled = _submit_all(database.url, [_checkpoint(one, 1, "1") for one in begun], others_done)
    assert set(settled.values()) == {Answer.DONE}
    assert _stored(database) == 6


@pytest.mark.parametrize("poisoned", [False, True])
def test_a_locked_row_holds_no_other_thread(database: Database, poisoned: bool) -> None:
    begun = [Run(database.url, counting).begin() for _ in range(4)]
    committer = ThreadCommitter(Opener(database.url), alone=False)
    settled: dict[int, Settled] = {}
    with database.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", [begun[0].claimed.run_id])

        def work(place: int) -> None:
            result = "{poison" if poisoned and place == 1 else "1"
            for ordinal in range(1, 4):
                settled[place * 10 + ordinal] = committer.commit(_checkpoint(begun[place], ordinal, result))

        threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(settled) == 9)
        holder.execute("ROLLBACK")
        for thread in threads:
            thread.join(10)
    committer.close()
    assert len(settled) == 12
    wrong = {place: answer for place, answer in settled.items() if answer is not Answer.DONE}
    assert sorted(wrong) == ([11, 12, 13] if poisoned else [])
