"""Clocks that are set, the server's or this machine's, end no wait before its time, nor hold one up."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness.databases import Database
from tests.integration.store.rows import Session

from .stores import asynchronous, begin, claimed, inserted, opened, run_of


class Clock:
    """Monotonic, by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def set_server_clock(database: Database, by: float) -> None:
    """As if the server's clock had been set forward by so many seconds: all that it has noted is that much older."""
    for table, column in (("runs", "deadline_from"), ("runs", "available"), ("attempts", "claimed")):
        database.query(f"UPDATE perdure.{table} SET {column} = {column} - make_interval(secs => %s)", by)


def close(value: float | None, expected: float) -> bool:
    return value is not None and abs(value - expected) < 2


async def story(database: Database, pod: Session, jump: Callable[[], None]) -> None:
    clock = Clock()
    async with opened(database.url, clock=clock) as store:
        uid = await inserted(store, active_deadline_seconds=600)
        for _ in range(4):
            attempt = begin(pod, uid, await claimed(store, uid))
            pod.end_attempt(attempt, "evicted")
        run = await run_of(store, uid)
        assert run.delay == 4
        assert close(run.due_in, 4)
        jump()
        assert close((await run_of(store, uid)).due_in, 4)
        clock.now += 3
        assert close((await run_of(store, uid)).due_in, 1)
        clock.now += 3
        assert (await run_of(store, uid)).due_in == 0

        claim = await claimed(store, uid)
        assert close((await run_of(store, uid)).claimed_for, 0)
        jump()
        clock.now += 50
        run = await run_of(store, uid)
        assert close(run.claimed_for, 50)
        assert run.claim == claim


@asynchronous
async def test_a_server_clock_set_forward(database: Database, pod: Session) -> None:
    await story(database, pod, lambda: set_server_clock(database, 86400))


@asynchronous
async def test_a_server_clock_set_back(database: Database, pod: Session) -> None:
    await story(database, pod, lambda: set_server_clock(database, -86400))


@asynchronous
async def test_a_deadline_runs_by_our_own_clock_once_it_was_seen_and_follows_a_change(
    database: Database, pod: Session
) -> None:
    clock = Clock()
    async with opened(database.url, clock=clock) as store:
        uid = await inserted(store, active_deadline_seconds=600)
        begin(pod, uid, await claimed(store, uid))
        assert close((await run_of(store, uid)).deadline_in, 600)
        clock.now += 100
        assert close((await run_of(store, uid)).deadline_in, 500)
        database.query("UPDATE perdure.runs SET deadline_seconds = 60")
        assert close((await run_of(store, uid)).deadline_in, -40)
        database.query("UPDATE perdure.runs SET deadline_seconds = NULL")
        assert (await run_of(store, uid)).deadline_in is None


@asynchronous
async def test_a_new_operator_goes_on_where_the_old_one_was(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uid = await inserted(store, active_deadline_seconds=600)
        begin(pod, uid, await claimed(store, uid))
    set_server_clock(database, 100)
    async with opened(database.url) as store:
        run = await run_of(store, uid)
        assert close(run.deadline_in, 500)
        assert close(run.claimed_for, 100)


@asynchronous
async def test_nothing_is_kept_of_runs_that_end_or_vanish(database: Database, pod: Session) -> None:
    async with opened(database.url) as store:
        uids = [await inserted(store, str(n), active_deadline_seconds=600) for n in range(4)]
        for uid in uids:
            begin(pod, uid, await claimed(store, uid))
            await store.observe(uid)
        assert len(store._ages) == 4
        await store.end_run(uids[0], "a:B", "c")
        database.query("DELETE FROM perdure.runs WHERE id = %s", uids[1])
        for uid in uids:
            await store.observe(uid)
        assert len(store._ages) == 2
