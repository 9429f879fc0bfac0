"""Pruning: what has ended long enough ago goes, with all that is stored of it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import pytest

from perdure.errors import SchemaMismatch, StoreUnavailable, UsageError
from perdure.store.runs.model import RunState
from perdure.store.runs.prune import prune
from tests.harness.databases import Database, Databases

from ..rows import Session

DAY = timedelta(days=1)


@pytest.fixture
def store(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


def ended(store: Session, name: str, *, days: float, state: str = "succeeded", owner: str = "queue:default") -> None:
    run = store.insert(name, owner=owner)
    attempt = store.begun(run)
    store.checkpoint(attempt)
    store.finish(attempt, state)
    store.execute("UPDATE perdure.runs SET finished = now() - %s WHERE id = %s", timedelta(days=days), run)


def names(store: Session) -> list[str]:
    return [name for (name,) in store.execute("SELECT name FROM perdure.runs ORDER BY name")]


def test_old_ended_runs_go_with_their_steps_and_attempts(store: Session, database: Database) -> None:
    ended(store, "old", days=8)
    ended(store, "young", days=6)
    running = store.begun(store.insert("running"))
    store.checkpoint(running)
    store.execute("UPDATE perdure.runs SET created = now() - interval '1 year', started = created")
    store.insert("pending")
    assert prune(database.url, older_than=7 * DAY) == 1
    assert names(store) == ["pending", "running", "young"]
    for table in ("steps", "attempts"):
        assert store.execute(f"SELECT count(*) FROM perdure.{table}") == [(2,)]
        assert store.execute(f"SELECT 1 FROM perdure.{table} t WHERE run_id NOT IN (SELECT id FROM perdure.runs)") == []
    assert prune(database.url, older_than=7 * DAY) == 0


def test_states_and_queue_choose(store: Session, database: Database) -> None:
    ended(store, "failed", days=8, state="failed")
    ended(store, "succeeded", days=8)
    ended(store, "elsewhere", days=8, owner="queue:other")
    ended(store, "cluster", days=8, owner="cluster:uid")
    assert prune(database.url, older_than=DAY, states=[RunState.SUCCEEDED], queue="default") == 1
    assert names(store) == ["cluster", "elsewhere", "failed"]
    assert prune(database.url, older_than=DAY) == 2
    assert names(store) == ["cluster"], "a cluster's runs live as long as their Workflow"


def test_batches_go_on_until_nothing_is_left_and_may_share_the_work(store: Session, database: Database) -> None:
    for n in range(25):
        ended(store, f"{n}", days=8)
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda _: prune(database.url, older_than=DAY, batch=4), range(2)))
    assert sum(counts) == 25
    assert names(store) == []
    assert store.execute("SELECT 1 FROM perdure.steps") == []


def test_what_cannot_be_pruned_is_refused(database: Database) -> None:
    with pytest.raises(UsageError, match="running: only runs that have ended"):
        prune(database.url, older_than=DAY, states=[RunState.RUNNING, RunState.FAILED])
    with pytest.raises(UsageError, match="at least one"):
        prune(database.url, older_than=DAY, batch=0)
    with pytest.raises(UsageError, match="in the past"):
        prune(database.url, older_than=-DAY)


def test_a_store_that_is_away_or_not_migrated_is_told(databases: Databases) -> None:
    with pytest.raises(SchemaMismatch, match="perdure migrate"):
        prune(databases.empty().url, older_than=DAY)
    with pytest.raises(StoreUnavailable):
        prune("postgresql://postgres@/none?host=/nonexistent", older_than=DAY)
