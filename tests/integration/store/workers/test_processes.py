"""The row of a worker's process, its counter, and what becomes of its runs when it is dead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import UUID, uuid4

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.errors import StoreUnavailable
from perdure.names import Claim, RunId
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.workers.claims import Claims, Entrypoints, FreeSlots
from perdure.store.workers.processes import ProcessEnd, ProcessStore
from tests.harness.databases import Database

from ..rows import OWNER, Session

DEAD = ProcessEnd(AttemptEnd.CRASHED, "its process is gone", counter=1)


@pytest.fixture
def store(database: Database) -> Iterator[ProcessStore]:
    made = ProcessStore(database.url, lease=0.5)
    yield made
    made.close()


@pytest.fixture
def rows(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


@pytest.fixture
def worker(database: Database, store: ProcessStore, rows: Session) -> ProcessIdentity:
    """A worker with two runs, whose counter is 1."""
    process = ProcessIdentity(uuid4(), "host", 7, 77)
    for name in ("a", "b"):
        rows.insert(name)
    store.beat(process, OWNER)
    claims = Claims(database.url, OWNER, process, Entrypoints(["bank:transfer"], []))
    assert len(claims.claim(FreeSlots(async_runs=2), []).runs) == 2
    claims.close()
    rows.execute("UPDATE perdure.processes SET counter = 1")
    return process


def processes(rows: Session) -> list[UUID]:
    return [process for (process,) in rows.execute("SELECT id FROM perdure.processes")]


def states(rows: Session) -> list[str]:
    return [state for (state,) in rows.execute("SELECT state FROM perdure.runs ORDER BY name")]


def test_a_beat_registers_and_counts(store: ProcessStore, rows: Session) -> None:
    process = ProcessIdentity(uuid4(), "host", 7, 77)
    store.beat(process, OWNER)
    [(host, pid, first)] = rows.execute("SELECT host, pid, counter FROM perdure.processes")
    store.beat(process, OWNER)
    assert (host, pid) == ("host", 7)
    assert rows.execute("SELECT counter FROM perdure.processes") == [(first + 1,)]


def test_a_beat_brings_what_is_to_be_cancelled(store: ProcessStore, rows: Session, worker: ProcessIdentity) -> None:
    [(run,)] = rows.execute("SELECT id FROM perdure.runs WHERE name = 'a'")
    assert store.beat(worker, OWNER) == []
    rows.cancel(run)
    assert store.beat(worker, OWNER) == [run]


def test_the_runs_of_a_dead_process_are_given_back_and_it_is_forgotten(
    store: ProcessStore, rows: Session, worker: ProcessIdentity
) -> None:
    released = store.release(worker.id, DEAD)
    assert (released.count, released.left) == (2, [])
    assert states(rows) == ["pending", "pending"]
    assert processes(rows) == []
    assert rows.execute("SELECT DISTINCT ending, detail FROM perdure.attempts") == [("crashed", "its process is gone")]


def test_one_that_has_beaten_since_keeps_its_runs(store: ProcessStore, rows: Session, worker: ProcessIdentity) -> None:
    store.beat(worker, OWNER)
    assert store.release(worker.id, DEAD).count == 0
    assert states(rows) == ["running", "running"]
    assert processes(rows) == [worker.id]
    assert store.release(worker.id, ProcessEnd(AttemptEnd.CRASHED, "seen dead", sure=True)).count == 2


def test_a_locked_run_is_left_and_then_given_back_alone(
    store: ProcessStore, rows: Session, worker: ProcessIdentity, database: Database
) -> None:
    with closing(database.connect()) as holder:
        holder.execute("BEGIN")
        [(locked,)] = holder.execute("SELECT id FROM perdure.runs WHERE name = 'a' FOR UPDATE").fetchall()
        released = store.release(worker.id, DEAD)
        assert released.count == 1
        [(run, claim)] = released.left
        assert run == locked
        assert processes(rows) == [worker.id]
        store.release_locked(run, claim, DEAD, waited=0.5)
    assert states(rows) == ["pending", "pending"]
    assert store.release(worker.id, DEAD).left == []
    assert processes(rows) == []


def test_only_those_without_runs_are_swept(store: ProcessStore, rows: Session, worker: ProcessIdentity) -> None:
    idle = ProcessIdentity(uuid4(), "host", 8, 88)
    store.beat(idle, OWNER)
    store.sweep(OWNER)
    assert processes(rows) == [worker.id]
    store.unregister(worker.id)
    assert processes(rows) == [worker.id]  # it holds runs


def test_a_store_that_is_away_is_unavailable() -> None:
    nowhere = ProcessStore("postgresql://127.0.0.1:1/nowhere", 1)
    with pytest.raises(StoreUnavailable, match="heartbeat"):
        nowhere.beat(ProcessIdentity(uuid4(), "host", 7, 77), OWNER)
    with pytest.raises(StoreUnavailable, match="give back run"):
        nowhere.release_locked(RunId(uuid4()), Claim(uuid4()), DEAD, waited=0)
