"""Log records say where they come from: run, attempt and step, and nothing outside of runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from perdure import log_fields, step, workflow
from perdure.testing import DurableRun

log = logging.getLogger("shop")


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = logging.getLogRecordFactory()
    monkeypatch.setattr(log_fields, "_installed", None)
    yield
    logging.setLogRecordFactory(before)


@step
def charge() -> int:
    log.warning("in the step")
    return 1


@workflow
def order() -> int:
    log.warning("in the workflow")
    return charge()


def test_records_of_a_run_name_it_and_its_step(caplog: pytest.LogCaptureFixture) -> None:
    log_fields.install()
    run = DurableRun(order)
    assert run.result() == 1
    log.warning("outside")
    found: list[Any] = [record for record in caplog.records if record.name == "shop"]
    places = [(record.perdure_run, record.perdure_attempt, record.perdure_step) for record in found]
    assert places == [(str(run.run_id), 1, ""), (str(run.run_id), 1, "charge"), ("", "", "")]


def test_it_is_installed_once_and_over_what_was_there(caplog: pytest.LogCaptureFixture) -> None:
    made: list[str] = []
    plain = logging.getLogRecordFactory()

    def own(*args: Any, **kwargs: Any) -> logging.LogRecord:
        made.append("own")
        return plain(*args, **kwargs)

    logging.setLogRecordFactory(own)
    log_fields.install()
    once = logging.getLogRecordFactory()
    log_fields.install()
    assert logging.getLogRecordFactory() is once
    log.warning("once")
    assert made == ["own"]
    assert caplog.records[-1].perdure_run == ""  # type: ignore[attr-defined]
