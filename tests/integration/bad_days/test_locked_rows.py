"""Somebody holds the rows of some runs: those wait for as long as it takes, all others go on."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg
import pytest

from tests.harness.databases import Database
from tests.harness.eventually import eventually

from .fleet import Fleet

MakeFleet = Callable[..., Fleet]


@pytest.mark.parametrize("role_gives_up", [False, True], ids=["", "the role has a lock_timeout"])
def test_rows_that_an_administrator_locks(database: Database, fleet: MakeFleet, role_gives_up: bool) -> None:
    if role_gives_up:
        database.query(f"ALTER DATABASE {database.name} SET lock_timeout = '20ms'")
    made = fleet(database, steps=40, alone=2, threads=4, loop=12).start()
    made.reach(0.2)
    # More than there are threads that wait for locks.
    locked = [made.alone[0].id, *(run.id for run in made.threads[:2]), *(run.id for run in made.loop[:6])]
    with psycopg.connect(database.url) as holder:
        holder.execute("SET lock_timeout = '10s'")
        holder.execute("SELECT FROM perdure.runs WHERE id = ANY (%s) FOR UPDATE", [locked])
        # Those that wait keep the others neither from their connections nor from new ones.
        time.sleep(0.5)
        database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid NOT IN (pg_backend_pid(), %s)",
            holder.info.backend_pid,
        )
        others = [run.id for run in made.runs if run.id not in locked]
        eventually(lambda: not made.left(others), 30)
        assert made.left(locked) == len(locked)
        [(connections,)] = database.query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert connections < 25, "no new connection for each wait"
        holder.rollback()
    made.wait()
    made.check()
