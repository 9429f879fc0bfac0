"""Several operators at once, and an operator and a pod: whatever the order, one of them wins and all agree on which."""

from __future__ import annotations

import asyncio

from perdure.attempt_ends import AttemptEnd
from perdure.store.runs.model import RunState
from tests.harness.databases import Database
from tests.integration.store.rows import Session

from .stores import asynchronous, begin, claimed, inserted, opened, run_of, workflow


@asynchronous
async def test_of_two_operators_that_claim_at_once_exactly_one_wins(database: Database) -> None:
    async with opened(database.url) as one, opened(database.url) as other:
        for n in range(30):
            uid = await inserted(one, str(n))
            claims = await asyncio.gather(*[store.claim(uid, 0) for store in (one, other, one, other)])
            [won] = [claim for claim in claims if claim is not None]
            run = await run_of(one, uid)
            assert (run.attempt, run.claim) == (1, won)


@asynchronous
async def test_two_operators_insert_one_run(database: Database) -> None:
    async with opened(database.url) as one, opened(database.url) as other:
        for n in range(30):
            made = workflow(str(n))
            answers = await asyncio.gather(*[store.insert(made) for store in (one, other, one, other)])
            assert sorted(answers) == [False, False, False, True]


@asynchronous
async def test_a_run_that_two_end_at_once_is_ended_by_one_of_them(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        for n in range(20):
            uid = await inserted(store, str(n))
            attempt = begin(pod, uid, await claimed(store, uid))
            finished, ended, asked = await asyncio.gather(
                asyncio.to_thread(pod.finish, attempt), store.end_run(uid, "a:B", "c"), store.request_cancel(uid)
            )
            run = await run_of(store, uid)
            assert (finished == 0) != ended
            assert run.state is (RunState.FAILED if ended else RunState.SUCCEEDED)
            assert asked in (None, RunState.RUNNING)
            assert len(await store.attempts(uid)) == 1


@asynchronous
async def test_of_two_verdicts_on_an_attempt_the_first_counts(database: Database) -> None:
    async with opened(database.url) as one, opened(database.url) as other:
        for n in range(20):
            uid = await inserted(one, str(n))
            claim = await claimed(one, uid)
            answers = await asyncio.gather(
                one.release_run(uid, claim, AttemptEnd.LOST, detail="a"),
                other.release_run(uid, claim, AttemptEnd.EVICTED, detail="b"),
            )
            assert sorted(answers) == [False, True]
            run = await run_of(one, uid)
            assert run.crashes + run.disruptions == 1


@asynchronous
async def test_more_calls_than_connections_wait_for_their_turn(database: Database) -> None:
    async with opened(database.url, connections=2) as store:
        uids = await asyncio.gather(*[inserted(store, str(n)) for n in range(50)])
        assert len(set(uids)) == 50
        [(connections,)] = database.query(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'perdure operator'"
            " AND datname = current_database()"
        )
        assert connections == 2
