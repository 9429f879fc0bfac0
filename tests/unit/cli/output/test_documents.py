"""What commands print of runs: documents for programs, tables for people."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import yaml

from perdure.attempt_ends import AttemptEnd
from perdure.cli.output.documents import (
    detail_document,
    detail_text,
    outcome_document,
    print_document,
    run_document,
    table,
)
from perdure.store.runs.model import AttemptInfo, RunDetail, RunInfo, RunState, StepInfo

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ERROR = json.dumps({"type": "builtins:ValueError", "message": "no\nsuch account", "traceback": "", "python": "3.13"})

RUN = RunInfo(
    id="t-1",
    run_id=UUID(int=1),
    owner="queue:default",
    namespace="",
    entrypoint="bank:transfer",
    state=RunState.SUCCEEDED,
    attempts=1,
    steps=2,
    crashes=0,
    cancel=False,
    suspend=False,
    created=NOON,
    started=NOON,
    finished=NOON + timedelta(seconds=3),
    error_type=None,
    error_message=None,
)
STEP = StepInfo("charge", "charge", 1, 1, 2, NOON, NOON + timedelta(seconds=1), '{"paid": 3}', None)
ATTEMPT = AttemptInfo(1, "host-1@7", None, None, NOON, NOON, NOON, AttemptEnd.CRASHED, None, 9, "killed by SIGKILL")
DETAIL = RunDetail(RUN, '{"amount": 3}', '{"paid": 3}', None, [ATTEMPT], [STEP])


def test_a_run_as_a_row_of_a_list() -> None:
    document = run_document(replace(RUN, error_type="m:E", error_message="no", finished=None))
    assert document["queue"] == "default"
    assert document["started"] == "2026-01-31T12:00:00+00:00"
    assert document["finished"] is None
    assert document["error"] == {"type": "m:E", "message": "no"}
    assert run_document(RUN)["error"] is None


def test_an_outcome_has_values_and_not_their_text() -> None:
    document = outcome_document(DETAIL)
    assert (document["state"], document["result"], document["error"]) == ("succeeded", {"paid": 3}, None)
    assert outcome_document(replace(DETAIL, result=None))["result"] is None


def test_a_run_in_full() -> None:
    document = detail_document(DETAIL)
    assert document["input"] == {"amount": 3}
    assert [attempt["ending"] for attempt in document["attempts"]] == ["crashed"]
    assert [(step["key"], step["tries"], step["result"]) for step in document["steps"]] == [("charge", 2, {"paid": 3})]
    assert json.loads(json.dumps(document)) == document


def test_a_run_in_full_for_people() -> None:
    text = detail_text(DETAIL)
    for part in ("bank:transfer", "succeeded", "crashed", "killed by SIGKILL", "host-1", "charge", "done", "1.0 s"):
        assert part in text


def test_errors_of_steps_are_cut_to_one_line() -> None:
    failed = replace(STEP, result=None, error=ERROR)
    text = detail_text(replace(DETAIL, steps=[failed]))
    [line] = [line for line in text.splitlines() if line.startswith("charge ")]
    assert "failed" in line
    assert line.endswith("ValueError: no such account")


def test_columns_are_as_wide_as_their_texts() -> None:
    assert table(["id", "state"], [["a-long-one", "x"], ["b", ""]]) == ["id          state", "a-long-one  x", "b"]


@pytest.mark.parametrize(("format", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_a_document_is_printed_in_either_format(format: str, read: object, capsys: pytest.CaptureFixture[str]) -> None:
    document = {"b": 1, "a": ["é", None]}
    print_document(document, format)
    printed = capsys.readouterr().out
    assert read(printed) == document  # type: ignore[operator]
    assert printed.index("b") < printed.index("a")
