"""What the operator hears of runs, and that it is told when it may have missed something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

from perdure.store.schema.migrate import migrate
from perdure_operator.sources.notifications import NotificationListener
from tests.harness.databases import Database, Databases
from tests.harness.postgres import Server
from tests.harness.proxy import Proxy
from tests.integration.store.rows import Session

from ..store.stores import OWNER, asynchronous, begin, claimed, inserted, opened


class Heard:
    """What a listener told."""

    def __init__(self) -> None:
        self.runs: list[UUID] = []
        self.missed = 0

    def miss(self) -> None:
        self.missed += 1


@asynccontextmanager
async def listening(url: str, check: float = 30.0) -> AsyncIterator[Heard]:
    """A listener that listens."""
    heard = Heard()
    listener = NotificationListener(url, OWNER, heard.runs.extend, heard.miss, check=check)
    task = asyncio.ensure_future(listener.run())
    try:
        await until(lambda: heard.missed == 1)
        yield heard
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(check: Callable[[], bool], deadline: float = 15.0) -> None:
    async with asyncio.timeout(deadline):
        while not check():
            await asyncio.sleep(0.01)


@asynchronous
async def test_endings_and_cancellations_are_heard_by_their_owner_alone(database: Database, pod: Session) -> None:
    async with opened(database.url) as store, listening(database.url) as heard:
        uid, other = await inserted(store), await inserted(store, "other")
        theirs = pod.insert("theirs")
        pod.cancel(theirs)
        pod.release_run(begin(pod, uid, await claimed(store, uid)), "released")
        pod.finish(begin(pod, uid, await claimed(store, uid)))
        await store.request_cancel(other)
        await until(lambda: len(heard.runs) >= 3)
        assert heard.runs == [uid, uid, other]
        assert heard.missed == 1


@asynchronous
async def test_what_is_no_run_is_passed_over(database: Database) -> None:
    async with opened(database.url) as store, listening(database.url) as heard:
        [(channel,)] = database.query("SELECT perdure.channel('work', %s)", OWNER)
        for rubbish in ("", "x" * 7000, "DROP TABLE", str(uuid4())[:-1]):
            database.query("SELECT pg_notify(%s, %s)", channel, rubbish)
        uid = await inserted(store)
        await store.request_cancel(uid)
        await until(lambda: heard.runs == [uid])


@asynchronous
async def test_a_burst_is_heard_whole(database: Database) -> None:
    async with opened(database.url) as store, listening(database.url) as heard:
        uids = await asyncio.gather(*[inserted(store, str(n)) for n in range(300)])
        await asyncio.gather(*[store.request_cancel(uid) for uid in uids])
        await until(lambda: len(heard.runs) == 300)
        assert set(heard.runs) == set(uids)


@asynchronous
async def test_after_a_broken_connection_it_listens_again_and_says_that_it_missed_something(
    database: Database, proxy: Proxy
) -> None:
    async with opened(database.url) as store, listening(proxy.url(database.name)) as heard:
        for n in range(3):
            heard.missed = 0
            heard.runs.clear()
            proxy.cut()
            await until(lambda: heard.missed == 1)
            await store.request_cancel(await inserted(store, str(n)))
            await until(lambda: len(heard.runs) == 1)


@asynchronous
async def test_a_server_that_restarts_or_is_away_for_a_while(own_server: Server, own_database: Database) -> None:
    async with opened(own_database.url) as store, listening(own_database.url) as heard:
        own_server.restart()
        await until(lambda: heard.missed == 2)
        own_server.kill()
        await asyncio.sleep(1.0)
        own_server.start()
        await until(lambda: heard.missed == 3)
        uid = await inserted(store)
        await store.request_cancel(uid)
        await until(lambda: heard.runs == [uid])


@asynchronous
async def test_another_store_in_the_same_database_is_heard_after_the_next_check(databases: Databases) -> None:
    database = databases.new()
    async with listening(database.url, check=0.2) as heard, opened(database.url) as store:
        with database.connect() as connection:
            connection.execute("DROP SCHEMA perdure CASCADE")
        await asyncio.sleep(0.5)
        migrate(database.url)
        await until(lambda: heard.missed == 2)
        uid = await inserted(store)
        await store.request_cancel(uid)
        await until(lambda: heard.runs == [uid])
    databases.drop(database)


@asynchronous
async def test_quiet_does_not_interrupt_it(database: Database) -> None:
    async with opened(database.url) as store, listening(database.url, check=0.05) as heard:
        await asyncio.sleep(0.5)
        uids = [await inserted(store, str(n)) for n in range(100)]
        for uid in uids:
            await store.request_cancel(uid)
        await until(lambda: len(heard.runs) == 100)
        assert (heard.runs, heard.missed) == (uids, 1)
