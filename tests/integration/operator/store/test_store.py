"""What each call of the operator does to a run, what it answers, and that it may be made again."""

from __future__ import annotations

import asyncio
import json
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.errors import StoreError, UsageError
from perdure.store.runs.model import RunState
from perdure_operator.decide.observed import Limits
from perdure_operator.store.store import OperatorStore
from tests.harness.databases import Database
from tests.integration.store.rows import Session

from .stores import OWNER, asynchronous, begin, claimed, every_call, inserted, opened, run_of, workflow


@asynchronous
async def test_the_store_says_who_it_is(database: Database) -> None:
    async with opened(database.url) as store:
        identity = await store.identity()
        assert [(identity.store_id,)] == database.query("SELECT store_id FROM perdure.meta")
        assert [(identity.system,)] == database.query("SELECT system_identifier::text FROM pg_control_system()")
        assert (await store.observe(uuid4())).store_id == identity.store_id


def test_an_owner_that_is_no_cluster_is_refused() -> None:
    with pytest.raises(UsageError, match="begins with 'cluster:'"):
        OperatorStore("postgresql:///", "queue:default")


@asynchronous
async def test_a_run_is_inserted_once_under_its_workflows_uid(database: Database, pod: Session) -> None:
    made = workflow(active_deadline_seconds=60, backoff_limit=3, suspend=True)
    async with opened(database.url) as store:
        assert await store.insert(made, {"bank.py": "text\n"})
        before = pod.run(made.uid)
        changed = replace(made, spec=replace(made.spec, input='{"amount": 7}'))  # type: ignore[type-var]
        assert not await store.insert(changed, {"bank.py": "another"})
        assert pod.run(made.uid) == before
    assert (before["owner"], before["namespace"], before["name"]) == (OWNER, "shop", "transfer-17")
    assert (before["input"], before["source"]) == ({"amount": 100}, {"files": {"bank.py": "text\n"}})
    assert (before["backoff_limit"], before["deadline_seconds"], before["suspend"]) == (3, 60, True)


@asynchronous
async def test_a_name_may_come_back_with_another_uid(database: Database) -> None:
    async with opened(database.url) as store:
        first, second = await inserted(store), await inserted(store)
        assert first != second
        assert len((await store.active_runs())[1]) == 2


@asynchronous
async def test_a_run_of_somebody_else_is_nobodys_business(database: Database, pod: Session) -> None:
    theirs = pod.insert("theirs")
    async with opened(database.url) as store:
        with pytest.raises(StoreError, match="'queue:default'"):
            await store.insert(workflow(uid=theirs))
        before = pod.run(theirs)
        assert (await store.observe(theirs)).run is None
        assert await store.claim(theirs, 0) is None
        assert not await store.set_limits(theirs, Limits(0, 1.0, True, False))
        assert await store.request_cancel(theirs) is None
        assert not await store.end_run(theirs, "a:B", "c")
        assert await store.mark_gone([theirs]) == 0
        assert (await store.active_runs())[1] == []
        assert (await store.ended_runs(), await store.count()) == ([], [])
    assert pod.run(theirs) == before


@asynchronous
async def test_values_that_no_store_takes_are_refused_and_harm_nothing_else(database: Database) -> None:
    async with opened(database.url) as store:
        bad_ones: list[dict[str, Any]] = [
            {"input": "{no json"},
            {"name": "a\0b"},
            {"entrypoint": "a\0b:c"},
            {"input": "1\0"},
        ]
        for bad in bad_ones:
            with pytest.raises(StoreError, match="does not take this"):
                await store.insert(workflow(**bad))
        uid = await inserted(store)
        assert (await run_of(store, uid)).attempt == 0


@asynchronous
async def test_what_is_seen_of_a_run_from_its_insert_to_its_end(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uid = await inserted(store, active_deadline_seconds=60)
        run = await run_of(store, uid)
        assert (run.state, run.attempt, run.claim, run.begun, run.last) == (RunState.PENDING, 0, None, False, None)
        assert run.limits == Limits(6, 60.0, suspend=False, cancel=False)
        assert run.deadline_in is not None, "it counts though nothing has begun"
        assert 50 < run.deadline_in <= 60

        claim = await claimed(store, uid)
        run = await run_of(store, uid)
        assert (run.state, run.attempt, run.claim, run.begun) == (RunState.PENDING, 1, claim, False)
        assert 0 <= run.claimed_for < 5

        attempt = begin(pod, uid, claim)
        pod.checkpoint(attempt)
        pod.heartbeat(attempt, 1, "deposit")
        run = await run_of(store, uid)
        assert (run.state, run.begun, run.steps, run.current_step) == (RunState.RUNNING, True, 1, "deposit")
        assert run.deadline_in is not None
        assert 50 < run.deadline_in <= 60
        assert (run.started is None, run.finished) == (False, None)

        pod.release_run(attempt, "crashed", "killed by SIGKILL")
        run = await run_of(store, uid)
        assert (run.state, run.claim, run.crashes, run.current_step) == (RunState.PENDING, None, 1, None)
        assert run.last is not None
        assert (run.last.attempt, run.last.ending, run.last.detail) == (1, "crashed", "killed by SIGKILL")

        pod.finish(begin(pod, uid, await claimed(store, uid)), result={"paid": True})
        run = await run_of(store, uid)
        assert (run.state, run.attempt, run.claim, run.steps) == (RunState.SUCCEEDED, 2, None, 1)
        assert (run.result, run.result_bytes, run.error) == ('{"paid": true}', 14, None)
        assert run.last is not None
        assert (run.last.attempt, run.last.ending) == (2, "completed")
        assert [(a.attempt, a.ending) for a in await store.attempts(uid)] == [(1, "crashed"), (2, "completed")]


@asynchronous
async def test_the_image_of_each_attempt_is_noted_once_and_remembered(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uid, other = await inserted(store), await inserted(store, "other")
        first = await claimed(store, uid)
        attempt = begin(pod, uid, first)
        assert (await run_of(store, uid)).image is None
        assert await store.note_image(uid, first, "sha256:1")
        assert not await store.note_image(uid, first, "sha256:2"), "what an attempt has run does not change"
        assert not await store.note_image(other, first, "sha256:2")
        run = await run_of(store, uid)
        assert (run.image, run.first_image) == ("sha256:1", None)

        pod.release_run(attempt, "crashed", "")
        run = await run_of(store, uid)
        assert run.last is not None
        assert (run.image, run.last.image) == (None, "sha256:1")

        await store.release_run(uid, await claimed(store, uid), AttemptEnd.EVICTED, detail="its image was never known")
        third = await claimed(store, uid)
        begin(pod, uid, third)
        await store.note_image(uid, third, "sha256:3")
        run = await run_of(store, uid)
        assert run.last is not None
        assert (run.first_image, run.last.image, run.image) == ((1, "sha256:1"), None, "sha256:3")
        assert [one.image for one in await store.attempts(uid)] == ["sha256:1", None, "sha256:3"]


@asynchronous
async def test_long_values_are_not_read(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        fits, long, failed = [await inserted(store, str(n)) for n in range(3)]
        pod.finish(begin(pod, fits, await claimed(store, fits)), result="x" * 4094)
        pod.finish(begin(pod, long, await claimed(store, long)), result="x" * 4095)
        error = {"type": "bank:Refused", "message": "é\n\U0001f600" * 50_000, "traceback": "t" * 100_000}
        pod.finish(begin(pod, failed, await claimed(store, failed)), "failed", error=error)
        run = await run_of(store, fits)
        assert (len(run.result or ""), run.result_bytes) == (4096, 4096)
        run = await run_of(store, long)
        assert (run.result, run.result_bytes) == (None, 4097)
        seen = json.loads((await run_of(store, failed)).error or "")
        assert (seen["type"], seen["message"][:4]) == ("bank:Refused", "é\n\U0001f600é")
        assert len(seen["message"]) < 5000


@asynchronous
async def test_many_are_seen_at_once_without_those_that_are_missing(database: Database) -> None:
    async with opened(database.url) as store:
        uids = [await inserted(store, str(n)) for n in range(3)]
        missing = uuid4()
        seen = await asyncio.gather(*[store.observe(uid) for uid in [*uids, missing]])
        assert {one.store_id for one in seen} == {(await store.identity()).store_id}
        assert [one.run is not None for one in seen] == [True, True, True, False]


@asynchronous
async def test_a_claim_compares_and_sets(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uid = await inserted(store)
        assert await store.claim(uid, 1) is None
        first = await store.claim(uid, 0)
        assert first is not None
        assert await store.claim(uid, 0) is None
        old = begin(pod, uid, first)
        assert await store.claim(uid, 1) is not None, "held or not: the caller has decided"
        assert pod.checkpoint(old) == 3
        assert [a.ending for a in await store.attempts(uid)] == ["superseded", None]
        assert await store.claim(uuid4(), 0) is None


@asynchronous
async def test_neither_a_suspended_nor_a_cancelled_nor_an_ended_run_is_claimed(
    database: Database, pod: Session
) -> None:
    async with opened(database.url) as store:
        suspended = await inserted(store, suspend=True)
        assert await store.claim(suspended, 0) is None
        await store.set_limits(suspended, Limits(6, None, suspend=False, cancel=False))
        claim = await claimed(store, suspended)
        await store.request_cancel(suspended)
        assert await store.claim(suspended, 1) is None
        pod.finish(begin(pod, suspended, claim), "cancelled")
        assert await store.claim(suspended, 1) is None


@asynchronous
async def test_an_attempt_is_released_once_by_its_claim(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uid = await inserted(store)
        claim = await claimed(store, uid)
        assert not await store.release_run(uid, uuid4(), AttemptEnd.LOST, detail="not ours")  # type: ignore[arg-type]
        for _ in range(2):
            assert await store.release_run(uid, claim, AttemptEnd.CRASHED, detail="OOM\0Killed", code=137, signal=9)
        assert not await store.release_run(uid, claim, AttemptEnd.LOST, detail="another's judgement")
        run = await run_of(store, uid)
        assert run.crashes == 1
        assert run.last is not None
        assert (run.last.ending, run.last.code, run.last.signal) == ("crashed", 137, 9)
        assert run.last.detail == "OOM\N{REPLACEMENT CHARACTER}Killed"
        with pytest.raises(StoreError, match="no such ending"):
            await store.release_run(uid, await claimed(store, uid), "bored", detail="")  # type: ignore[arg-type]


@asynchronous
async def test_limits_follow_the_spec_until_the_run_ends(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uid = await inserted(store)
        attempt = begin(pod, uid, await claimed(store, uid))
        limits = Limits(2, 30.0, suspend=True, cancel=False)
        assert [await store.set_limits(uid, limits) for _ in range(2)] == [True, False]
        assert (await run_of(store, uid)).limits == limits
        assert pod.heartbeat(attempt) == (0, False, True), "its process is told"
        assert await store.set_limits(uid, Limits(2, None, suspend=False, cancel=False))
        assert (await run_of(store, uid)).limits.deadline_seconds is None
        pod.finish(attempt)
        assert not await store.set_limits(uid, limits)


@asynchronous
async def test_cancelling(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        idle, held = await inserted(store, "idle"), await inserted(store, "held")
        assert await store.request_cancel(idle) is RunState.CANCELLED
        assert await store.request_cancel(idle) is None
        attempt = begin(pod, held, await claimed(store, held))
        for _ in range(2):
            assert await store.request_cancel(held) is RunState.RUNNING
        assert pod.heartbeat(attempt) == (0, True, False)
        assert pod.finish(attempt, "cancelled") == 0
        assert await store.request_cancel(held) is None


@asynchronous
async def test_a_cancelled_run_goes_on_while_it_may_clean_up(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uid = await inserted(store, "saga")
        attempt = begin(pod, uid, await claimed(store, uid))
        pod.execute("SELECT perdure.declare_cleanup(%s, %s, 60)", attempt.run, attempt.token)
        assert await store.request_cancel(uid) is RunState.RUNNING
        pod.release_run(attempt, "crashed")
        run = await run_of(store, uid)
        assert (run.state, run.may_clean_up, run.cleans_up, run.cleanup_left) == (RunState.PENDING, True, False, 60.0)

        attempt = begin(pod, uid, await claimed(store, uid))
        assert pod.checkpoint(attempt, "perdure.cancel") == 0
        run = await run_of(store, uid)
        assert run.cleans_up
        assert 0 < (run.cleanup_left or 0) < 60
        database.query("UPDATE perdure.steps SET finished = finished - interval '1 minute' RETURNING 1")
        pod.release_run(attempt, "crashed")
        assert (await run_of(store, uid)).state is RunState.CANCELLED


@asynchronous
async def test_cancelled_at_once_nobody_cleans_up(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uid = await inserted(store, "saga")
        attempt = begin(pod, uid, await claimed(store, uid))
        pod.execute("SELECT perdure.declare_cleanup(%s, %s, 60)", attempt.run, attempt.token)
        assert await store.request_cancel(uid, at_once=True) is RunState.RUNNING
        pod.execute("SELECT perdure.declare_cleanup(%s, %s, 60)", attempt.run, attempt.token)
        assert (await run_of(store, uid)).cleanup_left is None, "it is too late to declare it"
        pod.release_run(attempt, "crashed")
        assert (await run_of(store, uid)).state is RunState.CANCELLED


@asynchronous
async def test_a_run_whose_workflow_is_gone_ends_with_its_pod(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        idle, coming, held = await inserted(store, "a"), await inserted(store, "b"), await inserted(store, "c")
        await claimed(store, coming)
        attempt = begin(pod, held, await claimed(store, held))
        for uid in (idle, coming):
            assert await store.cancel_gone(uid) is RunState.CANCELLED
            assert await store.cancel_gone(uid) is None
            assert (await run_of(store, uid)).claim is None
        assert [one.ending for one in await store.attempts(coming)] == ["evicted"]
        for _ in range(2):
            assert await store.cancel_gone(held) is RunState.RUNNING
        assert pod.heartbeat(attempt) == (0, True, False)
        await store.mark_gone([held])
        assert await store.cancel_gone(held) is RunState.RUNNING
        assert await store.cancel_gone(held, patience=0) is RunState.CANCELLED
        assert (await run_of(store, held)).claim is None
        assert pod.heartbeat(attempt)[0] != 0
        assert database.query("SELECT count(*) FROM perdure.processes") == [(0,)]


@asynchronous
async def test_ending_a_run_supersedes_whoever_holds_it(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        idle, held = await inserted(store, "idle"), await inserted(store, "held")
        attempt = begin(pod, held, await claimed(store, held))
        for uid in (idle, held):
            assert [await store.end_run(uid, "perdure.errors:DeadlineExceeded", "too\0late") for _ in range(2)] == [
                True,
                False,
            ]
            run = await run_of(store, uid)
            assert (run.state, run.claim, run.begun) == (RunState.FAILED, None, False)
            assert json.loads(run.error or "") == {
                "type": "perdure.errors:DeadlineExceeded",
                "message": "too\N{REPLACEMENT CHARACTER}late",
            }
            assert run.finished is not None
        assert (pod.checkpoint(attempt), pod.heartbeat(attempt)[0], pod.finish(attempt)) == (3, 3, 3)
        assert [a.ending for a in await store.attempts(held)] == ["superseded"]
        assert database.query("SELECT count(*) FROM perdure.processes") == [(0,)]
        assert not await store.end_run(uuid4(), "a:B", "gone")


@asynchronous
async def test_listing_and_counting_by_state(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        pending = await inserted(store, "pending")
        begun = await inserted(store, "running")
        begin(pod, begun, await claimed(store, begun))
        elsewhere = await inserted(store, "claimed", namespace="other")
        await claimed(store, elsewhere)
        over = await inserted(store, "over")
        await store.request_cancel(over)
        store_id, active = await store.active_runs()
        assert store_id == (await store.identity()).store_id
        assert {(r.uid, r.namespace, r.name, str(r.state), r.attempt, r.held) for r in active} == {
            (pending, "shop", "pending", "pending", 0, False),
            (begun, "shop", "running", "running", 1, True),
            (elsewhere, "other", "claimed", "pending", 1, True),
        }
        assert [(r.uid, r.state) for r in await store.ended_runs()] == [(over, RunState.CANCELLED)]
        assert {(c.namespace, str(c.state), c.held): c.runs for c in await store.count()} == {
            ("shop", "pending", False): 1,
            ("shop", "running", True): 1,
            ("other", "pending", True): 1,
            ("shop", "cancelled", False): 1,
        }


@asynchronous
async def test_every_call_on_the_oldest_postgres(oldest_database: Database) -> None:
    with closing(oldest_database.connect()) as connection:
        await every_call(oldest_database.url, Session(connection))
