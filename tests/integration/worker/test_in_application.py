"""A worker beside an application, in its process."""

from __future__ import annotations

import logging
import threading

import pytest

from perdure import log_fields, step, workflow
from perdure.errors import SchemaMismatch, UsageError
from perdure.worker import Worker
from tests.harness.databases import Databases
from tests.integration.worker.fleet import Fleet


@step
def told() -> str:
    logging.getLogger("application").warning("in the step")
    return threading.current_thread().name


@workflow
def talkative() -> str:
    logging.getLogger("application").warning("between steps")
    return told()


def test_context_manager(fleet: Fleet) -> None:
    before = set(threading.enumerate())
    with Worker(fleet.database.url, workflows=[talkative]) as worker:
        assert fleet.client.start(talkative, id="one").result(timeout=10).startswith("perdure-run-one")
        with pytest.raises(UsageError, match="started already"):
            worker.start()
    left = {thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith("perdure-")}
    assert left <= {"perdure-endings"}, "the client's"
    assert fleet.database.query("SELECT pid FROM perdure.processes") == []
    with worker:
        assert fleet.client.start(talkative, id="two").result(timeout=10)


def test_log_records_carry_run_attempt_and_step(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    with Worker(fleet.database.url, workflows=[talkative]):
        run = fleet.client.start(talkative, id="one")
        run.result(timeout=10)
    logging.getLogger("application").warning("outside")
    records = {record.message: record for record in caplog.records if record.name == "application"}
    fields = {message: _fields(record) for message, record in records.items()}
    assert fields == {
        "between steps": (str(run.run_id), 1, ""),
        "in the step": (str(run.run_id), 1, "told"),
        "outside": ("", "", ""),
    }
    factory = logging.getLogRecordFactory()
    log_fields.install()
    assert logging.getLogRecordFactory() is factory, "installed once"


def _fields(record: logging.LogRecord) -> tuple[object, object, object]:
    return (record.perdure_run, record.perdure_attempt, record.perdure_step)  # type: ignore[attr-defined]


def test_runs_of_other_queues_and_unknown_workflows_are_left_alone(fleet: Fleet) -> None:
    elsewhere = fleet.client.start(talkative, id="one", queue="elsewhere")
    unknown = fleet.client.start("nowhere:to_be_found", id="two", input={})
    with Worker(fleet.database.url, workflows=[talkative]):
        assert fleet.client.start(talkative, id="three").result(timeout=10)
    states = dict(fleet.database.query("SELECT name, state FROM perdure.runs"))
    assert states == {"one": "pending", "two": "pending", "three": "succeeded"}
    assert elsewhere.run_id != unknown.run_id


def test_database_without_a_schema(databases: Databases) -> None:
    with pytest.raises(SchemaMismatch, match="perdure migrate"):
        Worker(databases.empty().url, workflows=[talkative]).start()
