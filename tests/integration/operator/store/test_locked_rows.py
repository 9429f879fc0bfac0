"""A row that somebody holds: it is waited for as long as a lease, then its holder's backend is ended; others go on."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import closing

import psycopg
import pytest

from perdure.attempt_ends import AttemptEnd
from perdure_operator.decide.observed import Limits
from tests.harness.databases import Database

from .stores import asynchronous, claimed, inserted, opened, run_of

LEASE = 0.5
CALLS = ["claim", "release_run", "set_limits", "request_cancel", "end_run"]


@asynchronous
@pytest.mark.parametrize("call", CALLS)
async def test_a_dead_clients_lock_is_ended_after_a_lease(
    database: Database, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with opened(database.url, lease=LEASE) as store:
        uid, free = await inserted(store, "held"), await inserted(store, "free")
        claim = await claimed(store, uid)
        calls = {
            "claim": lambda: store.claim(uid, 1),
            "release_run": lambda: store.release_run(uid, claim, AttemptEnd.LOST, detail=""),
            "set_limits": lambda: store.set_limits(uid, Limits(1, None, suspend=False, cancel=False)),
            "request_cancel": lambda: store.request_cancel(uid),
            "end_run": lambda: store.end_run(uid, "a:B", "c"),
        }
        with closing(database.connect(application_name="a dead client")) as dead:
            dead.execute("BEGIN")
            dead.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", [uid])
            since = time.monotonic()
            waiting = asyncio.ensure_future(calls[call]())
            await asyncio.sleep(0.2)
            assert (await run_of(store, uid)).claim == claim, "looking needs no lock"
            assert await store.claim(free, 0) is not None, "no other waits"
            assert not waiting.done()
            assert await waiting
            assert LEASE <= time.monotonic() - since < 5
            with pytest.raises(psycopg.OperationalError):
                dead.execute("SELECT 1")
        assert "a dead client" in caplog.text


@asynchronous
async def test_a_lock_that_is_soon_given_back_ends_nobody(database: Database) -> None:
    async with opened(database.url, lease=5.0) as store:
        uid = await inserted(store)
        with closing(database.connect()) as other:
            other.execute("BEGIN")
            other.execute("SELECT FROM perdure.runs WHERE id = %s FOR SHARE", [uid])
            waiting = asyncio.ensure_future(store.claim(uid, 0))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            other.execute("COMMIT")
            assert await waiting is not None
            assert other.execute("SELECT 1").fetchall() == [(1,)]


@asynchronous
async def test_many_locked_rows_stall_no_call_for_another_run(database: Database) -> None:
    async with opened(database.url, lease=1.0) as store:
        uids = [await inserted(store, str(n)) for n in range(20)]
        free = await inserted(store, "free")
        with closing(database.connect()) as dead:
            dead.execute("BEGIN")
            dead.execute("SELECT FROM perdure.runs WHERE name <> 'free' FOR UPDATE")
            waiting = [asyncio.ensure_future(store.claim(uid, 0)) for uid in uids]
            since = time.monotonic()
            assert await store.claim(free, 0) is not None
            assert time.monotonic() - since < 1.0
            assert None not in await asyncio.gather(*waiting)


@asynchronous
async def test_what_marks_and_deletes_leaves_locked_rows_for_the_next_time(database: Database) -> None:
    async with opened(database.url) as store:
        uids = [await inserted(store, str(n)) for n in range(2)]
        with closing(database.connect()) as other:
            other.execute("BEGIN")
            other.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", [uids[0]])
            assert await store.mark_gone(uids) == 1
            other.execute("COMMIT")
        assert await store.mark_gone(uids) == 1
