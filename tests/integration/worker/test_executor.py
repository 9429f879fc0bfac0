"""Runs that a worker has claimed are executed, sync ones in threads and async ones in its loop, to one end each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from perdure import step, workflow
from perdure.attempt_ends import AttemptEnd
from perdure.client import Client
from perdure.definitions import definition_of
from perdure.engine.workflow_call import Ending
from perdure.errors import Released, Superseded
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.workers.claims import ClaimedRun, Claims, Entrypoints, FreeSlots
from perdure.store.workers.completions import Completion
from perdure.worker import executor as module
from perdure.worker.executor import Executor, Running, ending_of
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
        self.ends: dict[str, Completion | None] = {}
        self.checkpointed: list[str] = []
        self.died: list[BaseException] = []
        self.executor = Executor(
            url,
            6.0,
            step_connections=2,
            checkpointed=lambda running: self.checkpointed.append(running.run.id),
            ended=lambda running, ending: self.ends.__setitem__(running.run.id, ending),
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

    def end(self, id: str = "one") -> Completion | None:
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
    end = work.end()
    assert end is not None
    assert (end.run, end.claim, end.state, end.result) == (running.run.run_id, running.run.claim, "succeeded", thread)
    assert work.checkpointed == ["one"]
    assert running.checkpointed
    assert database.query("SELECT step_key FROM perdure.steps") == [("where",)]


def test_a_failure_is_the_runs_end(work: Work) -> None:
    work.start(failing)
    end = work.end()
    assert end is not None
    assert end.state == "failed"
    assert "ValueError" in (end.error or "")


@pytest.mark.parametrize("signal", [Released("stopped"), Superseded("gone")])
def test_an_attempt_that_is_interrupted_leaves_the_run(work: Work, signal: Any) -> None:
    running = work.start(waiting)
    assert running.attempt is not None
    running.attempt.interrupt(signal)
    end = work.end()
    if isinstance(signal, Superseded):
        assert end is None
    else:
        assert end is not None
        assert (end.state, end.ending, end.detail) == (None, AttemptEnd.RELEASED, "stopped")


@pytest.mark.parametrize("workflow_", [sync_one, async_one])
def test_an_error_of_our_own_is_a_crash_of_the_attempt(
    work: Work, monkeypatch: pytest.MonkeyPatch, workflow_: Any
) -> None:
    def broken(*_: object) -> Ending:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "execute", broken)
    monkeypatch.setattr(module, "execute_async", broken)
    work.start(workflow_)
    end = work.end()
    assert end is not None
    assert (end.state, end.ending) == (None, AttemptEnd.CRASHED)
    assert "a bug" in (end.detail or "")


def test_closing_ends_its_threads_and_connections(work: Work, database: Database) -> None:
    for n, one in enumerate((sync_one, async_one)):
        work.start(one, f"run-{n}")
        work.end(f"run-{n}")
    work.executor.close()
    names = {thread.name for thread in threading.enumerate()}
    assert not [name for name in names if name.startswith(("perdure-loop", "perdure-run"))]
    others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    eventually(lambda: database.query(others) == [])


def test_the_end_as_the_store_gets_it() -> None:
    run: Any = ClaimedRun
    claimed = run(
        run_id=uuid4(), id="one", token=uuid4(), number=1, entrypoint="a:b", input="{}", claim=uuid4(), crashes=0
    )
    done = ending_of(claimed, Ending(state="succeeded", result="3", error=None))
    assert done == Completion(claimed.run_id, claimed.claim, "succeeded", "3", None)
    assert ending_of(claimed, Ending(None, signal=Superseded("x"))) is None
    assert ending_of(claimed, Ending(None, signal=Released("why"))) == Completion(
        claimed.run_id, claimed.claim, None, detail="why"
    )
