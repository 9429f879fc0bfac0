"""Whose process is taken for dead: by its counter, as this operator itself saw it, and by no clock."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

import pytest

from perdure.names import Claim
from perdure_operator.sources.liveness import Liveness
from tests.harness.databases import Database
from tests.harness.postgres import Server
from tests.harness.processes import Children, signal_all
from tests.harness.proxy import Proxy
from tests.harness.workspace import Workspace
from tests.integration.pod.attempts import Attempts, pause, resume
from tests.integration.store.rows import Attempt, Session

from ..store.stores import OWNER, asynchronous, begin, claimed, inserted, opened, run_of

LEASE = 1.0


class Watch:
    """A `Liveness` and what it told."""

    def __init__(self, url: str, lease: float, idle: float) -> None:
        self.told: list[UUID] = []
        self.liveness = Liveness(url, OWNER, self.told.extend, lease=lease, idle=idle)

    async def told_of(self, uid: UUID, deadline: float = 10.0) -> None:
        async with asyncio.timeout(deadline):
            while uid not in self.told:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(url: str, lease: float = LEASE, idle: float = 0.1) -> AsyncIterator[Watch]:
    watch = Watch(url, lease, idle)
    task = asyncio.ensure_future(watch.liveness.run())
    try:
        yield watch
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def beating(pod: Session, *attempts: Attempt) -> AsyncIterator[None]:
    """Their hearts beat meanwhile."""

    async def beat() -> None:
        while True:
            for attempt in attempts:
                await asyncio.to_thread(pod.heartbeat, attempt)
            await asyncio.sleep(LEASE / 5)

    task = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynchronous
async def test_a_process_whose_heart_stops_is_told_once_after_a_lease_and_others_are_not(
    database: Database, pod: Session
) -> None:
    async with opened(database.url) as store, watching(database.url) as watch:
        dead, alive, waiting = [await inserted(store, str(n)) for n in range(3)]
        begin(pod, dead, await claimed(store, dead))
        await claimed(store, waiting)
        async with beating(pod, begin(pod, alive, await claimed(store, alive))):
            since = time.monotonic()
            await watch.told_of(dead)
            assert LEASE <= time.monotonic() - since < 3 * LEASE
            await asyncio.sleep(LEASE)
            assert watch.told == [dead]
            for uid, silent in ((dead, True), (alive, False), (waiting, False)):
                run = watch.liveness.judged(uid, await run_of(store, uid))
                assert (run.silent is not None) == silent
            assert watch.liveness.judged(dead, await run_of(store, dead)).silent == (
                "its process gave no sign of life for 1 s"
            )


@asynchronous
async def test_the_next_attempt_is_not_blamed_for_the_one_before(database: Database, pod: Session) -> None:
    async with opened(database.url) as store, watching(database.url) as watch:
        uid = await inserted(store)
        begin(pod, uid, await claimed(store, uid))
        await watch.told_of(uid)
        begin(pod, uid, await claimed(store, uid))
        assert watch.liveness.judged(uid, await run_of(store, uid)).silent is None
        watch.told.clear()
        await watch.told_of(uid)


@asynchronous
async def test_a_process_without_a_row_is_dead_as_well(database: Database, pod: Session) -> None:
    async with opened(database.url) as store, watching(database.url) as watch:
        uid = await inserted(store)
        begin(pod, uid, await claimed(store, uid))
        database.query("DELETE FROM perdure.processes")
        await watch.told_of(uid)


@asynchronous
async def test_a_process_that_passes_for_another_hides_nobodys_death(database: Database, pod: Session) -> None:
    async with opened(database.url) as store, watching(database.url) as watch:
        victim, hostile = await inserted(store, "victim"), await inserted(store, "hostile")
        attempt = begin(pod, victim, await claimed(store, victim))
        claim = await claimed(store, hostile)
        assert pod.begin(Attempt(hostile, claim), process=attempt.process)["answer"] == 0
        async with beating(pod, Attempt(hostile, claim)):
            await watch.told_of(victim)


@asynchronous
async def test_the_heart_of_another_keeps_nobody_alive(database: Database, pod: Session) -> None:
    async with opened(database.url) as store, watching(database.url) as watch:
        victim, hostile = await inserted(store, "victim"), await inserted(store, "hostile")
        attempt = begin(pod, victim, await claimed(store, victim))
        claim = await claimed(store, hostile)
        assert pod.begin(Attempt(hostile, claim), process=attempt.process)["answer"] == 0
        async with beating(pod, attempt):
            await watch.told_of(hostile)
            assert watch.told == [hostile]


@asynchronous
async def test_a_read_that_fails_starts_anew_however_short_the_failure(
    database: Database, pod: Session, proxy: Proxy
) -> None:
    async with opened(database.url) as store, watching(proxy.url(database.name)) as watch:
        uid = await inserted(store)
        begin(pod, uid, await claimed(store, uid))
        for _ in range(4):
            async with asyncio.timeout(5):
                while watch.liveness.watched == 0:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.4 * LEASE)
            proxy.refuse()
            proxy.cut()
            async with asyncio.timeout(5):
                while watch.liveness.watched:
                    await asyncio.sleep(0.005)
            proxy.heal()
        assert watch.told == []
        await watch.told_of(uid)


@asynchronous
async def test_a_store_that_was_away_is_nobodys_death(own_server: Server, own_database: Database) -> None:
    with own_database.connect() as connection:
        pod = Session(connection)
        async with opened(own_database.url) as store, watching(own_database.url) as watch:
            uid = await inserted(store)
            begin(pod, uid, await claimed(store, uid))
            await asyncio.sleep(0.6 * LEASE)
            own_server.kill()
            await asyncio.sleep(2 * LEASE)
            own_server.start()
            since = time.monotonic()
            assert watch.told == []
            await watch.told_of(uid)
            assert time.monotonic() - since >= LEASE, "it is watched anew, for a whole lease"


@asynchronous
async def test_a_slow_read_or_a_pause_of_this_operator_starts_anew(
    database: Database, pod: Session, proxy: Proxy
) -> None:
    async with opened(database.url) as store, watching(proxy.url(database.name)) as watch:
        uid = await inserted(store)
        begin(pod, uid, await claimed(store, uid))
        for _ in range(3):
            await asyncio.sleep(0.6 * LEASE)
            proxy.stall()
            await asyncio.sleep(0.6 * LEASE)
            proxy.heal()
        assert watch.told == []
        for _ in range(3):
            await asyncio.sleep(0.6 * LEASE)
            time.sleep(0.6 * LEASE)
        assert watch.told == []
        await watch.told_of(uid)


@asynchronous
async def test_a_verdict_is_taken_back_when_a_read_fails_or_the_heart_beats(
    database: Database, pod: Session, proxy: Proxy
) -> None:
    async with opened(database.url) as store, watching(proxy.url(database.name)) as watch:
        uid = await inserted(store)
        claim = await claimed(store, uid)
        attempt = begin(pod, uid, claim)
        await watch.told_of(uid)
        proxy.stall()
        await asyncio.sleep(1.5 * LEASE)
        assert watch.liveness.silent(uid, claim) is None
        proxy.heal()
        watch.told.clear()
        await watch.told_of(uid)
        pod.heartbeat(attempt)
        await asyncio.sleep(0.5 * LEASE)
        assert watch.liveness.silent(uid, claim) is None


@asynchronous
async def test_a_server_clock_that_jumps_kills_nobody(own_server: Server, own_database: Database) -> None:
    # The verdict rests on counters alone; that the server's other times do not matter either is told in test_clocks.
    with own_database.connect() as connection:
        pod = Session(connection)
        async with opened(own_database.url) as store, watching(own_database.url) as watch:
            uid = await inserted(store)
            async with beating(pod, begin(pod, uid, await claimed(store, uid))):
                own_database.query("UPDATE perdure.runs SET started = started - interval '1 day'")
                own_database.query("UPDATE perdure.attempts SET claimed = claimed - interval '1 day'")
                await asyncio.sleep(2 * LEASE)
                assert watch.told == []


@asynchronous
async def test_at_rest_the_store_is_left_alone_until_a_run_that_begins_is_looked_at(
    database: Database, pod: Session, proxy: Proxy
) -> None:
    async with opened(database.url) as store, watching(proxy.url(database.name), idle=60.0) as watch:
        await asyncio.sleep(0.3)
        before = proxy.requests
        uid = await inserted(store)
        begin(pod, uid, await claimed(store, uid))
        await asyncio.sleep(LEASE)
        assert proxy.requests == before
        watch.liveness.judged(uid, await run_of(store, uid))
        await watch.told_of(uid)
        assert watch.liveness.watched == 1
        assert watch.liveness.silent(uuid4(), Claim(uuid4())) is None


@asynchronous
async def test_a_process_that_dies_just_after_its_begin_is_seen_dead_though_nobody_looked_at_its_run_since(
    database: Database, pod: Session
) -> None:
    async with opened(database.url) as store, watching(database.url, idle=60.0) as watch:
        uid = await inserted(store)
        claim = await claimed(store, uid)
        watch.liveness.judged(uid, await run_of(store, uid))
        begin(pod, uid, claim)
        await watch.told_of(uid)


@pytest.fixture
def attempts(children: Children, database: Database, workspace: Workspace, pod: Session) -> Attempts:
    """Real pods' processes."""
    return Attempts(children, database, workspace, pod)


@asynchronous
async def test_a_real_process_that_is_stopped_and_one_that_is_killed_are_seen_dead_and_no_other(
    database: Database, attempts: Attempts
) -> None:
    lease = 2.0
    async with opened(database.url) as store, watching(database.url, lease) as watch:
        stopped, killed, alive = [await inserted(store, str(n), entrypoint="flows:held", input="{}") for n in range(3)]
        processes = {uid: attempts.exec(Attempt(uid, await claimed(store, uid))) for uid in (stopped, killed, alive)}
        await asyncio.to_thread(attempts.wait_for, "hold 1", 3)
        pids = [processes[stopped].pid, *processes[stopped].descendants()]
        pause(pids)
        signal_all([processes[killed].pid, *processes[killed].descendants()], signal.SIGKILL)
        await watch.told_of(stopped)
        await watch.told_of(killed)
        await asyncio.sleep(lease)
        assert sorted(watch.told) == sorted([stopped, killed])
        resume(pids)
        attempts.let_go()
        assert await asyncio.to_thread(processes[alive].wait, 20) == 0
