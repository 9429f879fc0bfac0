"""PgBouncer in transaction mode: a session's prepared statements and settings get lost in it, nothing else does."""

from __future__ import annotations

import time
from collections.abc import Callable
from secrets import token_hex

import psycopg

from perdure.store.schema.migrate import migrate
from tests.harness.databases import Database
from tests.harness.pgbouncer import PgBouncer
from tests.harness.postgres import Server

from .fleet import Fleet

MakeFleet = Callable[..., Fleet]


def test_thousands_of_steps_of_every_kind_of_run(database: Database, pgbouncer: PgBouncer, fleet: MakeFleet) -> None:
    made = fleet(database, url=pgbouncer.url(database.name), steps=100, alone=4, threads=4, loop=16).start()
    made.wait()
    made.check()
    assert len(made.stored()) == 2400


def test_the_schema_is_made_through_it(postgres: Server, pgbouncer: PgBouncer) -> None:
    name = f"pooled_{token_hex(3)}"
    postgres.create_database(name)
    try:
        assert migrate(pgbouncer.url(name), pod_role=name).changed
        assert not migrate(pgbouncer.url(name), pod_role=name).changed
    finally:
        postgres.query(f"DROP DATABASE {name} WITH (FORCE)")
        postgres.query(f"DROP ROLE {name}")


def test_locked_rows_hold_nobody_else(database: Database, pgbouncer: PgBouncer, fleet: MakeFleet) -> None:
    """Though a `lock_timeout` that was set for one server connection is in force on another, or on none."""
    made = fleet(database, url=pgbouncer.url(database.name), steps=40, alone=1, threads=3, loop=8).start()
    made.reach(0.2)
    locked = [made.threads[0].id, made.loop[0].id]
    with psycopg.connect(database.url) as holder:
        holder.execute("SELECT FROM perdure.runs WHERE id = ANY (%s) FOR UPDATE", [locked])
        others = [run.id for run in made.runs if run.id not in locked]
        ends = time.monotonic() + 20
        while (left := made.left(others)) and time.monotonic() < ends:
            time.sleep(0.05)
        assert not left
        assert made.left(locked) == 2
        [(connections,)] = database.query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert connections < 20
        holder.rollback()
    made.wait()
    made.check()
