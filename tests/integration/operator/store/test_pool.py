"""The server keeps the plans of statements, where nobody stands between it and the operator."""

from __future__ import annotations

import psycopg

from tests.harness.databases import Database
from tests.harness.pgbouncer import PgBouncer
from tests.harness.postgres import Server

from .stores import asynchronous, claimed, inserted, opened, run_of

_OFTEN = 20


@asynchronous
async def test_a_statement_that_is_used_often_is_planned_a_few_times(
    own_server: Server, own_database: Database
) -> None:
    own_server.set(**{"pg_stat_statements.track_planning": "on"})
    async with opened(own_database.url, connections=1) as store:
        uid = await inserted(store)
        own_server.reset_statements()
        for _ in range(_OFTEN):
            await run_of(store, uid)
        planned = "SELECT plans, calls FROM pg_stat_statements WHERE query LIKE '%current_step%' AND calls > 1"
        [(plans, calls)] = own_server.query(planned)
        assert calls == _OFTEN
        assert plans < _OFTEN


@asynchronous
async def test_a_change_of_the_tables_under_a_kept_plan_is_not_noticed(database: Database) -> None:
    async with opened(database.url) as store:
        uid = await inserted(store)
        for _ in range(_OFTEN):
            await run_of(store, uid)
        database.query("ALTER TABLE perdure.runs ALTER COLUMN attempt TYPE bigint")  # refused to a plan that is kept
        await claimed(store, uid)
        assert (await run_of(store, uid)).attempt == 1


@asynchronous
async def test_nothing_is_prepared_through_a_pooler(database: Database, pgbouncer: PgBouncer) -> None:
    url = pgbouncer.url(database.name)
    async with opened(url, connections=1) as store:
        uid = await inserted(store)
        for _ in range(_OFTEN):
            await run_of(store, uid)
        with psycopg.connect(url, prepare_threshold=None) as session:  # which is the one that the store had
            assert session.execute("SELECT statement FROM pg_prepared_statements").fetchall() == []
