"""What rights the operator needs in the database: with these, and no others, it does all that it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest

from perdure.store.schema.migrate import operator_grants_sql
from perdure_operator.sources.liveness import Liveness
from perdure_operator.sources.notifications import NotificationListener
from tests.harness.databases import Database
from tests.integration.store.rows import Session

from .stores import OWNER, asynchronous, begin, claimed, every_call, inserted, opened, run_of

ROLE = "perdure_operator_role"
LOGIN = "perdure_operator_login"


@pytest.fixture
def operator_url(database: Database) -> Iterator[str]:
    """As a login that has these rights and nothing else."""
    with closing(database.connect()) as connection:
        connection.execute(f"CREATE ROLE {ROLE} NOLOGIN")
        connection.execute(f"CREATE ROLE {LOGIN} LOGIN IN ROLE {ROLE}")
        connection.execute(operator_grants_sql(ROLE).encode())
        yield database.url_as(LOGIN)
        for role in (LOGIN, ROLE):
            connection.execute(f"DROP OWNED BY {role} CASCADE")
            connection.execute(f"DROP ROLE {role}")


@asynchronous
async def test_they_are_enough_for_every_call(operator_url: str, pod: Session) -> None:
    await every_call(operator_url, pod)


@asynchronous
async def test_they_are_enough_to_watch_and_to_listen(operator_url: str, database: Database, pod: Session) -> None:
    silent: list[object] = []
    heard: list[object] = []
    missed = asyncio.Event()
    liveness = Liveness(operator_url, OWNER, silent.extend, lease=0.5, idle=0.1)
    listener = NotificationListener(operator_url, OWNER, heard.extend, missed.set)
    tasks = [asyncio.ensure_future(liveness.run()), asyncio.ensure_future(listener.run())]
    async with opened(operator_url) as store, asyncio.timeout(15):
        await missed.wait()
        uid = await inserted(store)
        begin(pod, uid, await claimed(store, uid))
        await store.request_cancel(uid)
        while not (silent and heard):
            await asyncio.sleep(0.02)
        assert (await run_of(store, uid)).limits.cancel
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynchronous
async def test_a_pods_backend_that_holds_a_lock_can_be_ended(
    operator_url: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    database.query("CREATE ROLE some_pod LOGIN")
    try:
        database.query("GRANT USAGE ON SCHEMA perdure TO some_pod")
        database.query("GRANT ALL ON ALL TABLES IN SCHEMA perdure TO some_pod")
        async with opened(operator_url, lease=0.5) as store:
            uid = await inserted(store)
            with closing(database.connect("some_pod")) as dead:
                dead.execute("BEGIN")
                dead.execute("SELECT FROM perdure.runs FOR UPDATE")
                assert await store.claim(uid, 0) is not None
                with pytest.raises(psycopg.OperationalError):
                    dead.execute("SELECT 1")
    finally:
        database.query("DROP OWNED BY some_pod")
        database.query("DROP ROLE some_pod")


@asynchronous
async def test_they_change_nothing_else(operator_url: str, database: Database) -> None:
    with closing(psycopg.connect(operator_url, autocommit=True)) as connection:
        for statement in (
            "UPDATE perdure.meta SET store_id = gen_random_uuid()",
            "UPDATE perdure.steps SET result = '1'",
            "INSERT INTO perdure.steps SELECT * FROM perdure.steps",
            "UPDATE perdure.processes SET counter = 1",
            "UPDATE perdure.runs SET input = '1'",
            "UPDATE perdure.runs SET source = '1'",
            "SELECT input FROM perdure.runs",
            "SELECT result FROM perdure.steps",
            "TRUNCATE perdure.runs",
            "DROP TABLE perdure.runs",
            "CREATE TABLE perdure.mine (x int)",
            "SELECT perdure.begin(NULL, NULL, NULL, 1, '', 1, 1, NULL)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
