"""The process that `perdure run` starts for an attempt: what it gets, tells and leaves; and requests to stop."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from perdure.names import hash_seed
from perdure.process.attempt_process import AttemptProcess, StopRequests
from tests.harness.eventually import eventually

RUN = UUID(int=7)

STAND_IN = """
import json, os, sys
if sys.argv[1:] == ["-P", "-m", "perdure.cli", "exec"]:
    exec(os.environ["CODE"])
"""


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that runs the test's code in place of `perdure exec`."""
    stand_in = tmp_path / "python"
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    stand_in.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/stand_in.py "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stand_in))


class Attempt:
    """A process that runs `code`, and what came of it."""

    def __init__(self, code: str, *, live: bool = True, **environment: str) -> None:
        self.events: list[dict[str, Any]] = []
        self.output = ""
        self.process = AttemptProcess(
            {"PERDURE_RUN_ID": str(RUN), "CODE": code, **environment},
            self.events.append,
            self._take if live else None,
        )

    def _take(self, text: str) -> None:
        self.output += text

    def end(self, stops: StopRequests, until: Callable[[], bool] | None = None) -> int:
        deadline = time.monotonic() + 20
        try:
            while (code := self.process.wait(stops, 0.1)) is None:
                assert time.monotonic() < deadline
                if until is not None and until():
                    self.process.terminate()
                    until = None
        finally:
            self.process.kill()
            self.process.close()
        return code


@pytest.mark.usefixtures("python")
def test_output_events_and_exit_code_come_whole() -> None:
    code = (
        "from perdure.process.progress_events import VARIABLE\n"
        "out = open(int(os.environ[VARIABLE]), 'w')\n"
        "for n in range(2000): print(json.dumps({'event': 'started', 'key': f'step#{n}'}), file=out)\n"
        "print('no JSON', file=out); out.flush()\n"
        "print('é' * 100_000); print('error', file=sys.stderr); sys.exit(3)"
    )
    with StopRequests() as stops:
        attempt = Attempt(code)
        assert attempt.end(stops) == 3
    assert [event["key"] for event in attempt.events] == [f"step#{n}" for n in range(2000)]
    assert sorted(attempt.output.split()) == ["error", "é" * 100_000]


@pytest.mark.usefixtures("python")
def test_it_has_the_runs_hash_seed_a_session_of_its_own_and_no_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    code = (
        "print(json.dumps([os.environ['PYTHONHASHSEED'], os.environ['PERDURE_PARENT'], os.getsid(0) == os.getpid(),"
        " sys.stdin.read(), os.environ['MORE']]))"
    )
    with StopRequests() as stops:
        attempt = Attempt(code, MORE="told")
        assert attempt.end(stops) == 0
    assert json.loads(attempt.output) == [str(hash_seed(RUN)), str(os.getpid()), True, "", "told"]


@pytest.mark.usefixtures("python")
def test_a_users_own_hash_seed_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "17")
    with StopRequests() as stops:
        attempt = Attempt("print(os.environ['PYTHONHASHSEED'])")
        assert attempt.end(stops) == 0
    assert attempt.output == "17\n"


@pytest.mark.usefixtures("python")
def test_it_is_told_to_end() -> None:
    with StopRequests() as stops:
        attempt = Attempt("import time; print('ready', flush=True); time.sleep(60)")
        assert attempt.end(stops, until=lambda: "ready" in attempt.output) == -signal.SIGTERM


@pytest.mark.usefixtures("python")
def test_two_requests_arrive_at_a_process_that_takes_neither_at_once() -> None:
    code = (
        "import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})\n"
        "print('ready', flush=True)\n"
        "while len(signal.sigpending()) < 2: time.sleep(0.01)\n"
    )
    with StopRequests() as stops:
        attempt = Attempt(code)
        eventually(lambda: attempt.process.wait(stops, 0.1) is None and "ready" in attempt.output)
        attempt.process.terminate()
        assert attempt.end(stops, until=lambda: True) == 0


@pytest.mark.usefixtures("python")
def test_output_goes_to_our_standard_error_where_nobody_takes_it(capfd: pytest.CaptureFixture[str]) -> None:
    with StopRequests() as stops, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stderr", open(2, "w", closefd=False))  # noqa: SIM115
        attempt = Attempt("print('from the child')", live=False)
        assert attempt.end(stops) == 0
    assert "from the child" in capfd.readouterr().err


@pytest.mark.usefixtures("python")
def test_a_signal_to_us_wakes_the_wait() -> None:
    with StopRequests() as stops:
        attempt = Attempt("import time; print('ready', flush=True); time.sleep(60)")
        eventually(lambda: attempt.process.wait(stops, 0.1) is None and "ready" in attempt.output)
        os.kill(os.getpid(), signal.SIGTERM)
        began = time.monotonic()
        attempt.process.wait(stops, 30)
        assert time.monotonic() - began < 10
        attempt.process.kill()
        assert attempt.end(stops) == -signal.SIGKILL


def test_stops_are_counted_and_the_first_is_remembered() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopRequests() as stops:
        assert (stops.count, stops.first) == (0, None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(os.getpid(), number)
        assert (stops.count, stops.first) == (3, signal.SIGTERM)
        stops.clear()
        stops.clear()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequests() as stops:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stops.count == 0
    finally:
        signal.signal(signal.SIGHUP, before)
