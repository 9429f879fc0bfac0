"""One Workflow on this machine, from wherever its run stands to its end: after crashes, and beside another command."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from perdure.errors import RunNotFound
from perdure.local.display import PlainDisplay
from perdure.local.store_target import StoreTarget
from perdure.process.attempt_process import StopRequests
from perdure.store.runs.model import MANIFEST_OWNER, RunState
from perdure_operator.decide.observed import Status, Workflow
from perdure_operator.local.run import Code, LocalWorkflow
from tests.harness.databases import Database
from tests.integration.store.rows import Session
from tests.unit.operator.decide.builders import STORE, spec, workflow

CODE = """
import os, signal
from perdure import step, step_context, workflow

@step
def one() -> int:
    return 1

@step
def die_once() -> int:
    if step_context().attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2

@workflow
def flow() -> int:
    return one() + die_once()
"""


class Local:
    """Works on Workflows with this code, on one database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.screen = io.StringIO()

    def settle(self, of: Workflow, code: Code | None = None) -> tuple[Any, Any]:
        """The run's outcome and the status."""
        place = StoreTarget(self.url, lambda: None)
        with StopRequests() as stops:
            display = PlainDisplay("x", self.screen)
            local = LocalWorkflow(of, code or Code(files={"bank.py": CODE}), {}, 5, place, display, stops)
            detail = local.settle()
        return detail, local.workflow.status


@pytest.fixture
def local(database: Database, monkeypatch: pytest.MonkeyPatch) -> Local:
    monkeypatch.setenv("PERDURE_LEASE_SECONDS", "2")
    return Local(database.url)


@pytest.fixture
def rows(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


def flow(**changes: Any) -> Workflow:
    given = {"entrypoint": "bank:flow", "source_inline": {"bank.py": CODE}} | changes
    return workflow(uid=uuid4(), spec=spec(**given))


def test_a_crash_is_told_and_the_run_goes_on_from_its_step(local: Local, rows: Session) -> None:
    detail, status = local.settle(flow())
    assert (detail.run.state, detail.result, detail.run.attempts) == (RunState.SUCCEEDED, "3", 2)
    assert status.conditions["Finished"].reason == "Succeeded"
    assert rows.execute("SELECT ending FROM perdure.attempts ORDER BY attempt") == [("crashed",), ("completed",)]
    assert "attempt 2, 1 steps recorded" in local.screen.getvalue()


def test_a_run_past_its_backoff_limit_ends(local: Local) -> None:
    detail, status = local.settle(flow(backoff_limit=0))
    assert detail.run.state is RunState.FAILED
    assert status.conditions["Finished"].reason == "BackoffLimitExceeded"


def test_a_cancelled_one_runs_nothing(local: Local, rows: Session) -> None:
    detail, status = local.settle(flow(cancel=True))
    assert detail is None
    assert status.conditions["Finished"].reason == "Cancelled"
    assert rows.execute("SELECT count(*) FROM perdure.attempts") == [(0,)]


def test_code_that_cannot_be_read_waits_for_a_person(local: Local, rows: Session) -> None:
    detail, status = local.settle(
        flow(source_inline=None, source_config_map="code"), Code(problem="there is no ConfigMap 'code' in this file")
    )
    assert detail is None
    assert "Stalled" in status.conditions
    assert "there is no ConfigMap 'code'" in status.conditions["Finished"].message
    assert rows.execute("SELECT count(*) FROM perdure.attempts") == [(0,)]


def test_a_run_that_has_ended_is_told_again(local: Local) -> None:
    one = flow()
    first, _ = local.settle(one)
    again, status = local.settle(one)
    assert again.run.run_id == first.run.run_id
    assert "it has ended already, succeeded; this is its outcome" in local.screen.getvalue()
    assert status.conditions["Finished"].status == "True"


def test_what_another_command_claimed_and_never_began_is_taken_over(local: Local, rows: Session) -> None:
    one = flow()
    source = json.dumps({"files": {"bank.py": CODE}})
    named = {"owner": MANIFEST_OWNER, "namespace": "shop", "entrypoint": "bank:flow", "source": source}
    rows.insert("transfer-17", id=one.uid, **named)
    assert rows.claim(one.uid) is not None
    detail, _ = local.settle(one)
    assert (detail.run.state, detail.result) == (RunState.SUCCEEDED, "3")


def test_a_run_that_was_deleted_is_an_error(local: Local, rows: Session) -> None:
    [(store,)] = rows.execute("SELECT store_id FROM perdure.meta")
    assert store != STORE
    with pytest.raises(RunNotFound, match="it was deleted meanwhile"):
        local.settle(replace(flow(), status=Status(store_id=store)))
