"""The runs of a dead process are given back in rounds that wait for no lock; who keeps one for a lease is ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.store.workers.processes import ProcessEnd, ProcessStore
from perdure.store.workers.release import Release
from tests.harness.databases import Database

LEASE = 0.2
PROCESS = "INSERT INTO perdure.processes (id, owner, host, pid, pid_started) VALUES (%s, 'queue:default', 'h', 1, 1)"
RUNS = """
    INSERT INTO perdure.runs
        (id, owner, name, entrypoint, input, state, attempt, claim, token, process, begun, timeline)
    SELECT gen_random_uuid(), 'queue:default', 'run-' || n, 'm:f', '{}', 'running', 1, gen_random_uuid(),
           gen_random_uuid(), %s, true, ''
    FROM generate_series(1, %s) n
"""


@pytest.fixture
def release_of(database: Database) -> Iterator[Callable[[int], Release]]:
    """Makes a process that is dead and held so many runs."""
    store = ProcessStore(database.url, LEASE)

    def make(runs: int) -> Release:
        process = uuid4()
        database.query(PROCESS, process)
        database.query(RUNS, process, runs)
        return Release(store, process, ProcessEnd(AttemptEnd.CRASHED, "it died", sure=True), lease=LEASE)

    yield make
    store.close()


def _pending(database: Database) -> int:
    [(count,)] = database.query("SELECT count(*) FROM perdure.runs WHERE state = 'pending'")
    return int(count)


def test_rounds_pass_over_locked_rows(database: Database, release_of: Callable[[int], Release]) -> None:
    release = release_of(10)
    with database.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM perdure.runs WHERE name IN ('run-1', 'run-2') FOR SHARE")
        assert not release.round()
        assert (release.count, _pending(database)) == (8, 8)
        assert release.overdue() == []
    assert release.round()
    assert (release.count, _pending(database)) == (10, 10)
    assert database.query("SELECT id FROM perdure.processes") == []


def test_locked_row_of_the_process_itself(database: Database, release_of: Callable[[int], Release]) -> None:
    release = release_of(3)
    with database.connect() as holder, holder.transaction():
        holder.execute("SELECT FROM perdure.processes FOR UPDATE")
        release.round()
        assert _pending(database) == 3, "its death is sure, whatever its counter says"
        assert len(database.query("SELECT id FROM perdure.processes")) == 1
    assert release.round()


def test_holder_is_ended_after_a_lease(database: Database, release_of: Callable[[int], Release]) -> None:
    release = release_of(2)
    with database.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM perdure.runs WHERE name = 'run-1' FOR SHARE")
        release.finish()
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
    assert _pending(database) == 2
