"""What `perdure run` says when it is interrupted and when a run has ended, and how it waits."""

from __future__ import annotations

import io
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from perdure.local.display import PlainDisplay
from perdure.local.interactive import Interrupted, interrupted, show_ending, shown, wait
from perdure.process.attempt_process import StopRequests
from perdure.store.runs.model import RunDetail, RunInfo, RunState

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def detail(state: RunState, attempts: int = 1, seconds: float | None = 3) -> RunDetail:
    finished = None if seconds is None else NOON + timedelta(seconds=seconds)
    run = RunInfo(
        "t-1", UUID(int=1), "queue:default", "", "a:b", state, attempts, 0, 0, cancel=False, suspend=False,
        created=NOON, started=NOON, finished=finished, error_type=None, error_message=None,
    )  # fmt: skip
    return RunDetail(run, "{}", None, None, [], [])


@pytest.mark.parametrize(
    ("signals", "code"), [([], 130), ([signal.SIGINT, signal.SIGTERM], 130), ([signal.SIGTERM, signal.SIGINT], 75)]
)
def test_the_first_signal_decides_the_exit_code(
    signals: list[signal.Signals], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with StopRequests() as stops:
        for number in signals:
            os.kill(os.getpid(), number)
        assert interrupted(stops, ["perdure", "run", "a b.py:f"]) == code
    assert capsys.readouterr().err == "perdure: interrupted; go on with: perdure run 'a b.py:f'\n"


def test_a_wait_ends_in_its_time_or_with_a_signal() -> None:
    display = PlainDisplay("x", io.StringIO())
    with StopRequests() as stops:
        began = time.monotonic()
        wait(stops, display, began + 0.2)
        assert 0.2 <= time.monotonic() - began < 5
        os.kill(os.getpid(), signal.SIGTERM)
        wait(stops, display, time.monotonic() + 3600)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (detail(RunState.SUCCEEDED), "succeeded after 3.0 s"),
        (detail(RunState.FAILED, attempts=2), "failed after 3.0 s, 2 attempts"),
        (detail(RunState.CANCELLED, seconds=None), "cancelled"),
    ],
)
def test_how_a_run_ended_is_the_last_line(found: RunDetail, said: str) -> None:
    screen = io.StringIO()
    show_ending(PlainDisplay("x", screen), found)
    assert screen.getvalue().splitlines()[1:] == [f"perdure: {said}"]


@pytest.mark.parametrize("found", [None, detail(RunState.RUNNING, seconds=None)])
def test_of_a_run_that_goes_on_nothing_is_said(found: RunDetail | None) -> None:
    screen = io.StringIO()
    show_ending(PlainDisplay("x", screen), found)
    assert screen.getvalue() == "perdure: x\n"


def test_an_error_closes_the_display(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(PlainDisplay, "close", lambda *_, **__: closed.append("closed"))
    with shown("x"):
        pass
    assert closed == []
    with pytest.raises(Interrupted), shown("x"):
        raise Interrupted
    assert closed == ["closed"]
