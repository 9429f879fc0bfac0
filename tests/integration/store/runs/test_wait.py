"""Endings of runs as futures: on one connection, in one thread, which go when nothing is waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from perdure.errors import RunNotFound, SchemaMismatch
from perdure.store.runs import wait
from perdure.store.runs.model import Ending, RunState
from perdure.store.runs.wait import RunWaiter
from tests.harness.databases import Database, Databases
from tests.harness.eventually import eventually

from ..rows import OWNER, Session


@pytest.fixture
def waiter(database: Database) -> Iterator[RunWaiter]:
    made = RunWaiter(database.url)
    yield made
    made.close()


@pytest.fixture
def rows(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


def threads() -> int:
    return sum(thread.name == "perdure-endings" for thread in threading.enumerate())


def listening(database: Database) -> bool:
    found = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'perdure client' AND datname = current_database()"
    return database.query(found) == [(1,)]


def test_an_ending_is_heard_of_at_once(
    waiter: RunWaiter, rows: Session, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "_POLLS", (3600.0, 3600.0))
    run, failing = rows.insert(), rows.insert()
    attempts = rows.begun(run), rows.begun(failing)
    futures = waiter.watch(run, OWNER), waiter.watch(failing, OWNER)
    eventually(lambda: all(one.asked for one in waiter.waits()))
    rows.finish(attempts[0], result=3)
    assert futures[0].result(10) == Ending(RunState.SUCCEEDED, "3", None)
    assert not futures[1].done()
    rows.finish(attempts[1], "failed", error={"type": "a:B"})
    ending = futures[1].result(10)
    assert ending.state is RunState.FAILED
    assert threads() == 1


def test_one_that_has_ended_before_is_told_at_once(waiter: RunWaiter, rows: Session) -> None:
    run = rows.insert()
    rows.finish(rows.begun(run), result=3)
    assert waiter.watch(run, OWNER).result(10).result == "3"


def test_one_that_is_gone_is_not_found(waiter: RunWaiter) -> None:
    with pytest.raises(RunNotFound, match="is gone"):
        waiter.watch(uuid4(), OWNER).result(10)


def test_a_lost_notification_is_made_up_for_by_asking(
    waiter: RunWaiter, rows: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "_POLLS", (0.1, 0.1))
    run = rows.insert()
    future = waiter.watch(run, OWNER)
    eventually(lambda: all(one.asked for one in waiter.waits()))
    rows.execute("UPDATE perdure.runs SET state = 'cancelled', finished = now() WHERE id = %s", run)
    assert future.result(10).state is RunState.CANCELLED


def test_a_connection_that_breaks_is_made_anew(waiter: RunWaiter, rows: Session, database: Database) -> None:
    run = rows.insert()
    attempt = rows.begun(run)
    future = waiter.watch(run, OWNER)
    eventually(lambda: listening(database))
    database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'perdure client'")
    rows.finish(attempt, result=3)
    assert future.result(10).result == "3"


def test_a_schema_that_does_not_fit_fails_the_wait(databases: Databases) -> None:
    waiter = RunWaiter(databases.empty().url)
    with pytest.raises(SchemaMismatch):
        waiter.watch(uuid4(), OWNER).result(10)
    waiter.close()


def test_an_error_of_its_own_fails_all_waits_and_the_next_one_begins_anew(database: Database, rows: Session) -> None:
    run = rows.insert()
    rows.finish(rows.begun(run), result=3)
    broken = [True]

    def ensure() -> None:
        if broken.pop():
            broken.append(False)
            raise ValueError("no such folder")
        broken.append(False)

    waiter = RunWaiter(database.url, ensure=ensure)
    with pytest.raises(ValueError, match="no such folder"):
        waiter.watch(run, OWNER).result(10)
    assert waiter.watch(run, OWNER).result(10).result == "3"
    waiter.close()


def test_thread_and_connection_go_when_nothing_is_waited_for(
    waiter: RunWaiter, rows: Session, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "_LINGER", 0.2)
    future = waiter.watch(rows.insert(), OWNER)
    eventually(lambda: listening(database))
    future.cancel()
    eventually(lambda: threads() == 0)
    eventually(lambda: not listening(database))


def test_closing_gives_up_all_waits(waiter: RunWaiter, rows: Session) -> None:
    future = waiter.watch(rows.insert(), OWNER)
    began = time.monotonic()
    waiter.close()
    assert future.cancelled()
    assert time.monotonic() - began < 5
    assert threads() == 0
