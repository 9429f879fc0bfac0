"""A dump, or an analyst's transaction, that stays open for long: runs go on beside it, and it sees its old state."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from tests.harness.databases import Database

from .fleet import Fleet

MakeFleet = Callable[..., Fleet]


def test_an_old_snapshot_held_open(database: Database, fleet: MakeFleet) -> None:
    made = fleet(database)
    with psycopg.connect(database.url) as analyst:
        analyst.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        look = (
            "SELECT (SELECT count(*) FROM perdure.steps), (SELECT count(*) FROM perdure.runs WHERE state = 'pending')"
        )
        before = analyst.execute(look).fetchall()
        made.start()
        made.wait()
        made.check()
        assert analyst.execute(look).fetchall() == before == [(0, len(made.runs))]
        database.query("VACUUM perdure.runs, perdure.steps")
    # No row version of a run is made by its steps, which is what would slow them down while old versions stay.
    made_versions = "SELECT n_tup_upd FROM pg_stat_all_tables WHERE relid = 'perdure.runs'::regclass"
    assert database.query(made_versions)[0][0] <= 3 * len(made.runs)
