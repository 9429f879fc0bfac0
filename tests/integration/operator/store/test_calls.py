"""A store that restarts, is away, does not answer, or is another one when it is back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from perdure.errors import SchemaMismatch, StoreError, StoreUnavailable
from perdure.store.schema.migrate import migrate
from tests.harness.databases import Database, Databases
from tests.harness.postgres import Server
from tests.harness.proxy import Proxy

from .stores import asynchronous, claimed, inserted, opened, run_of


async def insist(call: Callable[[], Awaitable[Any]]) -> Any:
    """Make a call until it is answered."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await call()
            except StoreUnavailable:
                await asyncio.sleep(0.05)


@asynchronous
async def test_no_call_after_a_restart_notices_it(own_server: Server, own_database: Database) -> None:
    async with opened(own_database.url) as store:
        uids = await asyncio.gather(*[inserted(store, str(n)) for n in range(8)])
        for mode in ("fast", "immediate"):
            own_server.restart(mode)
            for uid in uids:
                assert (await run_of(store, uid)).attempt == (0 if mode == "fast" else 1)
            if mode == "fast":
                await asyncio.gather(*[claimed(store, uid) for uid in uids])


@asynchronous
async def test_a_server_that_is_away_is_waited_for_without_harm(own_server: Server, own_database: Database) -> None:
    async with opened(own_database.url) as store:
        uid = await inserted(store)
        own_server.kill()
        since = time.monotonic()
        for _ in range(20):
            with pytest.raises(StoreUnavailable, match=f"look at run {uid}: the store does not answer"):
                await store.observe(uid)
        assert time.monotonic() - since < 5, "a refused connection is told at once"
        await asyncio.sleep(1)
        own_server.start()
        assert await insist(lambda: store.claim(uid, 0)) is not None


@asynchronous
async def test_a_server_that_does_not_answer_holds_no_call_for_longer_than_its_limit(
    own_server: Server, own_database: Database
) -> None:
    async with opened(own_database.url, connections=2, limit=0.5) as store:
        uid = await inserted(store)
        own_server.pause()
        try:
            since = time.monotonic()
            calls = [store.observe(uid), store.claim(uid, 0), store.attempts(uid), store.request_cancel(uid)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert time.monotonic() - since < 5, "the limit that it would have by itself is 10 s"
            assert {type(answer) for answer in answers} == {StoreUnavailable}
            # Calls about many runs may take longer, and have both connections meanwhile.
            listings = [asyncio.ensure_future(store.active_runs()) for _ in range(2)]
            await asyncio.sleep(0)
            with pytest.raises(StoreUnavailable, match=r"all connections to the store were busy for 0\.5 s"):
                await store.claim(uid, 0)
        finally:
            own_server.resume()
        assert [len(runs) for _, runs in await asyncio.gather(*listings)] == [1, 1]
        assert (await insist(lambda: store.observe(uid))).run is not None


@asynchronous
async def test_a_call_that_is_given_up_leaves_at_once_and_the_next_one_is_answered(
    database: Database, proxy: Proxy
) -> None:
    async with opened(proxy.url(database.name), connections=1) as store:
        uid = await inserted(store)
        proxy.stall()
        call = asyncio.ensure_future(store.observe(uid))
        await asyncio.sleep(0.2)
        since = time.monotonic()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert time.monotonic() - since < 1
        proxy.heal()
        assert (await run_of(store, uid)).attempt == 0


@asynchronous
async def test_an_emptied_database_says_so(databases: Databases) -> None:
    database = databases.new()
    async with opened(database.url) as store:
        uid = await inserted(store)
        database.query("DROP SCHEMA perdure CASCADE")
        for call in (lambda: store.observe(uid), lambda: store.claim(uid, 0), store.active_runs, store.identity):
            with pytest.raises(SchemaMismatch, match="no Perdure schema"):
                await call()
    databases.drop(database)


@asynchronous
async def test_another_store_under_the_same_address_is_told_apart_by_the_very_next_answer(
    databases: Databases,
) -> None:
    database = databases.new()
    async with opened(database.url) as store:
        uid = await inserted(store)
        before = await store.observe(uid)
        with database.connect() as connection:
            connection.execute("DROP SCHEMA perdure CASCADE")
        migrate(database.url)
        after = await store.observe(uid)
        assert after.store_id != before.store_id
        assert after.run is None
        assert (await store.active_runs())[0] == (await store.identity()).store_id == after.store_id
    databases.drop(database)


@asynchronous
async def test_a_schema_that_is_too_old_is_named_with_what_to_do(database: Database) -> None:
    database.query("UPDATE perdure.meta SET schema_version = 0")
    async with opened(database.url) as store:
        with pytest.raises(SchemaMismatch, match=r"needs 1 or newer; run 'perdure migrate'"):
            await store.identity()
        database.query("UPDATE perdure.meta SET schema_version = 9, oldest_client = 9")
        with pytest.raises(SchemaMismatch, match="this client is too old"):
            await store.identity()


@asynchronous
async def test_a_login_without_rights_is_told_so(database: Database) -> None:
    database.query("CREATE ROLE powerless LOGIN")
    try:
        async with opened(database.url_as("powerless")) as store:
            with pytest.raises(StoreError, match="the store refuses"):
                await store.identity()
    finally:
        database.query("DROP ROLE powerless")


@pytest.mark.slow
@asynchronous
async def test_a_minute_without_a_store_ends_nothing(own_server: Server, own_database: Database) -> None:
    async with opened(own_database.url) as store:
        uid = await inserted(store, active_deadline_seconds=3600)
        claim = await claimed(store, uid)
        own_server.kill()
        ends = time.monotonic() + 45
        while time.monotonic() < ends:
            with pytest.raises(StoreUnavailable):
                await store.observe(uid)
            await asyncio.sleep(0.5)
        own_server.start()
        run = (await insist(lambda: store.observe(uid))).run
        assert (run.claim, run.attempt, run.last) == (claim, 1, None)
