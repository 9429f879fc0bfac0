"""The heartbeat process of a worker: there while runs are held, told of ends, and revived when it dies."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import pytest

from perdure.names import RunId
from perdure.process.identity import process_started
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.workers.claims import Claims, Entrypoints, FreeSlots
from perdure.worker import heartbeat_client
from perdure.worker.heartbeat_client import HeartbeatClient
from perdure.worker.heartbeat_process import HeartbeatOrder
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.processes import alive
from tests.integration.store.rows import OWNER, Session


class Heart:
    """A client in this process, and what it was told."""

    def __init__(self, database: Database) -> None:
        started = process_started(os.getpid())
        assert started is not None
        self.process = ProcessIdentity(uuid4(), "here", os.getpid(), started)
        self.cancelled: list[RunId] = []
        self.ended = 0
        self.died: list[BaseException] = []
        self.client: Any = HeartbeatClient(
            HeartbeatOrder(database.url, OWNER, 0.4, self.process),
            cancelled=self.cancelled.extend,
            ended=self._has_ended,
            died=self.died.append,
        )

    def _has_ended(self) -> None:
        self.ended += 1

    @property
    def pid(self) -> int:
        return int(self.client._process.pid)


@pytest.fixture
def rows(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


@pytest.fixture
def heart(database: Database, rows: Session) -> Iterator[Heart]:
    """The heart of a worker that has one run."""
    made = Heart(database)
    rows.insert("held")
    claims = Claims(database.url, OWNER, made.process, Entrypoints(["bank:transfer"], []))
    assert len(claims.claim(FreeSlots(async_runs=1), []).runs) == 1
    claims.close()
    yield made
    made.client.stop()
    assert made.died == []


def counter(rows: Session) -> int:
    [(found,)] = rows.execute("SELECT counter FROM perdure.processes")
    return int(found)


def test_while_it_is_busy_it_beats(heart: Heart, rows: Session) -> None:
    assert heart.client.revive() is None
    assert heart.client._process is None  # nothing is held
    heart.client.tell(busy=True)
    begun = counter(rows)
    eventually(lambda: counter(rows) > begun + 2)
    heart.client.tell(busy=False)
    assert alive(heart.pid)


def test_it_hears_of_cancellations(heart: Heart, rows: Session) -> None:
    heart.client.tell(busy=True)
    [(run,)] = rows.execute("SELECT id FROM perdure.runs")
    rows.cancel(run)
    eventually(lambda: run in heart.cancelled)


def test_one_that_dies_is_told_of_and_started_again_after_a_pause(
    heart: Heart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat_client, "_RESTART_PAUSE", 3600.0)
    heart.client.tell(busy=True)
    first = heart.pid
    os.kill(first, signal.SIGKILL)
    eventually(lambda: heart.ended == 1)
    pause = heart.client.revive()
    assert pause is not None
    assert 3500 < pause <= 3600
    monkeypatch.setattr(heartbeat_client, "_RESTART_PAUSE", 0.0)
    assert heart.client.revive() is None
    assert heart.pid != first
    assert heart.client.revive() is None


def test_stopping_is_no_death(heart: Heart, rows: Session) -> None:
    heart.client.tell(busy=True)
    pid = heart.pid
    heart.client.stop()
    eventually(lambda: not alive(pid))
    assert rows.execute("SELECT state FROM perdure.runs") == [("running",)]


def test_giving_up_has_the_runs_released_with_the_reason(heart: Heart, rows: Session) -> None:
    heart.client.tell(busy=True)
    heart.client.give_up("it is\nbroken")
    eventually(lambda: rows.execute("SELECT state FROM perdure.runs") == [("pending",)])
    assert rows.execute("SELECT ending, detail FROM perdure.attempts") == [("crashed", "it is\nbroken")]
    eventually(lambda: heart.ended == 1)
