"""What a command prints of a run's end, and its exit code."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from perdure.cli.output.outcome import report
from perdure.store.runs.model import RunDetail, RunInfo, RunState

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def detail(state: RunState, result: str | None = None, error: str | None = None) -> RunDetail:
    run = RunInfo(
        "t-1", UUID(int=1), "queue:default", "", "a:b", state, 1, 0, 0, cancel=False, suspend=False,
        created=NOON, started=NOON, finished=NOON + timedelta(seconds=1), error_type=None, error_message=None,
    )  # fmt: skip
    return RunDetail(run, "{}", result, error, [], [])


ERROR = json.dumps({"type": "bank:Refused", "message": "no money", "traceback": "Traceback ...\n  here\n"})


def test_a_result_is_the_only_thing_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(detail(RunState.SUCCEEDED, '{"a": "\\u00e9"}'), "text") == 0
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"a": "é"}, "")


def test_a_run_without_a_result_prints_null(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(detail(RunState.SUCCEEDED), "text") == 0
    assert capsys.readouterr().out == "null\n"


def test_a_failure_goes_to_standard_error_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(detail(RunState.FAILED, error=ERROR), "text") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.index("Traceback") < err.index("run t-1 failed")
    assert "no money" in err


def test_a_cancelled_run_says_how_its_cleanup_ended(capsys: pytest.CaptureFixture[str]) -> None:
    code = report(detail(RunState.CANCELLED), "text")
    assert capsys.readouterr().err == "perdure: run t-1 was cancelled\n"
    assert report(detail(RunState.CANCELLED, error=ERROR), "text") == code
    assert "its cleanup ended with" in capsys.readouterr().err
    assert code not in (0, 1)


def test_a_document_takes_the_place_of_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(detail(RunState.SUCCEEDED, "7"), "json", {"kind": "Workflow"}) == 0
    assert json.loads(capsys.readouterr().out) == {"kind": "Workflow"}
    assert report(detail(RunState.SUCCEEDED, "7"), "json") == 0
    assert json.loads(capsys.readouterr().out)["result"] == 7
