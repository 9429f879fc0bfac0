"""What is stored of a run goes a while after its Workflow is gone, and of no other run before."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from perdure_operator.store.store import OperatorStore
from tests.harness.databases import Database
from tests.integration.store.rows import Session

from .stores import asynchronous, begin, claimed, inserted, opened

WEEK = timedelta(days=7)
_COUNTS = (
    "SELECT (SELECT count(*) FROM perdure.runs), (SELECT count(*) FROM perdure.steps),"
    " (SELECT count(*) FROM perdure.attempts)"
)


async def deleted(store: OperatorStore, older_than: timedelta = WEEK) -> int:
    """How many runs go, with all that is stored of them."""
    await store.delete_gone_steps(older_than, 1_000)
    return await store.delete_gone_runs(older_than, 1_000)


def set_back(database: Database, column: str, uid: UUID, age: timedelta) -> None:
    database.query(f"UPDATE perdure.runs SET {column} = now() - %s WHERE id = %s", age, uid)


@asynchronous
async def test_only_ended_runs_whose_workflow_was_known_gone_for_long_enough_are_deleted(
    database: Database, pod: Session
) -> None:
    async with opened(database.url) as store:
        uids: dict[str, UUID] = {}
        for name in ("old", "young", "there", "active", "just ended"):
            uid = uids[name] = await inserted(store, name)
            attempt = begin(pod, uid, await claimed(store, uid))
            pod.checkpoint(attempt)
            if name != "active":
                pod.finish(attempt)
        theirs = pod.begun(pod.insert("theirs"))
        pod.finish(theirs)
        gone = [uid for name, uid in uids.items() if name != "there"]
        assert [await store.mark_gone(gone) for _ in range(2)] == [4, 0]
        for uid in [*uids.values(), theirs.run]:
            set_back(database, "finished", uid, WEEK + timedelta(minutes=1))
        for name in ("old", "active", "just ended"):
            set_back(database, "gone", uids[name], WEEK + timedelta(minutes=1))
        set_back(database, "gone", uids["young"], WEEK - timedelta(minutes=1))
        set_back(database, "gone", theirs.run, WEEK + timedelta(minutes=1))
        set_back(database, "finished", uids["just ended"], timedelta(0))
        assert [await deleted(store) for _ in range(2)] == [1, 0]
        left = {run for (run,) in database.query("SELECT id FROM perdure.runs")}
        assert left == {*uids.values(), theirs.run} - {uids["old"]}
        assert database.query(_COUNTS) == [(5, 4, 5)]


@asynchronous
async def test_the_time_counts_from_when_it_was_first_known(database: Database) -> None:
    async with opened(database.url) as store:
        uid = await inserted(store)
        await store.mark_gone([uid])
        set_back(database, "gone", uid, WEEK)
        assert await store.mark_gone([uid]) == 0
        assert database.query("SELECT gone < now() - interval '6 days' FROM perdure.runs") == [(True,)]


@asynchronous
async def test_what_is_stored_of_a_workflow_that_came_back_stays(database: Database) -> None:
    async with opened(database.url) as store:
        uids = [await inserted(store, name) for name in ("back", "gone", "there")]
        for uid in uids:
            await store.request_cancel(uid)
        await store.mark_gone(uids[:2])
        assert [await store.mark_back([uids[0], uids[2]]) for _ in range(2)] == [1, 0]
        assert await deleted(store, timedelta(0)) == 1
        assert {run for (run,) in database.query("SELECT id FROM perdure.runs")} == {uids[0], uids[2]}


@asynchronous
async def test_no_statement_deletes_more_than_it_is_told(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uids = [await inserted(store, str(n)) for n in range(5)]
        for uid in uids:
            attempt = begin(pod, uid, await claimed(store, uid))
            for n in range(10):
                pod.checkpoint(attempt, f"s{n}", n + 1)
            pod.finish(attempt)
        await store.mark_gone(uids)
        now = timedelta(0)
        assert await store.delete_gone_runs(now, 10) == 0, "there are steps of each of them"
        assert [await store.delete_gone_steps(now, 30) for _ in range(3)] == [30, 20, 0]
        assert [await store.delete_gone_runs(now, 3) for _ in range(3)] == [3, 2, 0]
        assert database.query(_COUNTS) == [(0, 0, 0)]


@asynchronous
async def test_rows_of_processes_that_nothing_names_any_more_go_too(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uid, other = await inserted(store), await inserted(store, "other")
        begin(pod, uid, await claimed(store, uid))
        with database.connect() as locker:
            locker.execute("BEGIN")
            locker.execute("SELECT FROM perdure.processes FOR UPDATE")
            await claimed(store, uid)
            locker.execute("ROLLBACK")
        kept = begin(pod, other, await claimed(store, other))
        assert len(database.query("SELECT id FROM perdure.processes")) == 2
        await store.sweep_processes()
        assert database.query("SELECT id FROM perdure.processes") == [(kept.process,)]
