"""Runs that a worker has claimed are executed, sync ones in threads and async ones in its loop, to one end each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from perdure import errors, step, workflow
from perdure.attempt_results import AttemptResult, Crashed, Failed, Released, Succeeded, Superseded
from perdure.client import Client
from perdure.definitions import definition_of
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.workers.claims import Claims, Entrypoints, FreeSlots
from perdure.worker import executor as module
from perdure.worker.executor import Executor, Running
from tests.harness.databases import Database
from tests.harness.eventually import eventually


@step
def where() -> str:
    return threading.current_thread().name


@workflow
def sync_one() -> str:
    return where()


@workflow
async def async_one() -> str:
    return where()


@workflow
async def failing() -> None:
    raise ValueError("no")


@workflow
async def waiting() -> None:
    await asyncio.sleep(3600)


@workflow(cleanup=5)
def cleans() -> str:
    return where()


class Work:
    """An executor, the runs that it was given, and what came of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.ends: dict[str, AttemptResult | Crashed] = {}
        self.checkpointed: list[str] = []
        self.died: list[BaseException] = []
        self.executor = Executor(
            url,
            6.0,
            step_connections=2,
            checkpointed=lambda running: self.checkpointed.append(running.run.id),
            ended=lambda running, end: self.ends.__setitem__(running.run.id, end),
            cleanup_began=lambda *_: None,
            died=self.died.append,
        )

    def start(self, workflow_: Any, id: str = "one") -> Running:
        definition = definition_of(workflow_)
        assert definition is not None
        with Client(self.url) as client:
            client.start(workflow_, id=id)
        names = [definition.entrypoint]
        known = Entrypoints(*((names, []) if definition.is_async else ([], names)), {})
        claims = Claims(self.url, "queue:default", ProcessIdentity(uuid4(), "here", 1, 0), known)
        [run] = claims.claim(FreeSlots(async_runs=1, sync_runs=1), []).runs
        running = Running(run, definition, 0.0)
        self.executor.start(running, [], claims.system)
        claims.close()
        return running

    def end(self, id: str = "one") -> AttemptResult | Crashed:
        eventually(lambda: id in self.ends)
        return self.ends[id]


@pytest.fixture
def work(database: Database) -> Iterator[Work]:
    made = Work(database.url)
    yield made
    made.executor.close()
    assert made.died == []


@pytest.mark.parametrize(
    ("workflow_", "thread"),
    [(sync_one, '"perdure-run-one"'), (async_one, '"perdure-loop"'), (cleans, '"perdure-run-one"')],
)
def test_each_kind_has_its_thread(work: Work, database: Database, workflow_: Any, thread: str) -> None:
    running = work.start(workflow_)
    assert work.end() == Succeeded(thread)
    assert work.checkpointed == ["one"]
    assert running.checkpointed
    assert database.query("SELECT step_key FROM perdure.steps") == [("where",)]


def test_a_failure_is_the_runs_end(work: Work) -> None:
    work.start(failing)
    end = work.end()
    assert isinstance(end, Failed)
    assert "ValueError" in end.error
    assert end.raised is None, "its frames would live until the end is stored"


@pytest.mark.parametrize(
    ("signal", "result"),
    [(errors.Released("stopped"), Released("stopped")), (errors.Superseded("gone"), Superseded("gone"))],
)
def test_an_attempt_that_is_interrupted_leaves_the_run(
    work: Work, signal: errors.ControlSignal, result: AttemptResult
) -> None:
    running = work.start(waiting)
    assert running.attempt is not None
    running.attempt.interrupt(signal)
    assert work.end() == result


@pytest.mark.parametrize("workflow_", [sync_one, async_one])
def test_an_error_of_our_own_is_a_crash_of_the_attempt(
    work: Work, monkeypatch: pytest.MonkeyPatch, workflow_: Any
) -> None:
    def broken(*_: object) -> AttemptResult:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "execute", broken)
    monkeypatch.setattr(module, "execute_async", broken)
    work.start(workflow_)
    end = work.end()
    assert isinstance(end, Crashed)
    assert "a bug" in end.why


def test_closing_ends_its_threads_and_connections(work: Work, database: Database) -> None:
    for n, one in enumerate((sync_one, async_one)):
        work.start(one, f"run-{n}")
        work.end(f"run-{n}")
    work.executor.close()
    names = {thread.name for thread in threading.enumerate()}
    assert not [name for name in names if name.startswith(("perdure-loop", "perdure-run"))]
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    eventually(lambda: database.query(others) == [])
