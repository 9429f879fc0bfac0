"""Processes of this command's attempts as pods: running, ended by their codes, asked to end, and killed at last."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from perdure.local.display import PlainDisplay
from perdure.process.exit_codes import ExitCode
from perdure_operator.decide.observed import PodPhase
from perdure_operator.local import processes
from perdure_operator.local.processes import LocalPods
from tests.unit.operator.decide.builders import NOW, token

CLAIM = token(1)


class Process:
    """A process that ends as the test says."""

    made: ClassVar[list[Process]] = []

    def __init__(self, environment: object, event: Callable[[dict[str, Any]], None], _output: object) -> None:
        self.environment = environment
        self.event = event
        self.code: int | None = None
        self.signals: list[str] = []
        self.waits = 0
        self.ends_when_told = True
        self.closed = False
        self.made.append(self)

    def wait(self, _stops: object, _timeout: float) -> int | None:
        self.waits += 1
        return self.code

    def terminate(self) -> None:
        self.signals.append("TERM")
        if self.ends_when_told:
            self.code = -15

    def kill(self) -> None:
        self.signals.append("KILL")
        self.code = -9

    def close(self) -> None:
        self.closed = True


class Stops:
    count = 0


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch, screen: io.StringIO) -> Any:
    monkeypatch.setattr(Process, "made", [])
    monkeypatch.setattr(processes, "AttemptProcess", Process)
    made: Any = LocalPods
    return made(PlainDisplay("x", screen), Stops(), 0.05, lambda: NOW)


def started(pods: Any) -> Process:
    pods.start("transfer-1", 1, CLAIM, {"A": "b"})
    return Process.made[-1]


def test_a_started_process_is_a_running_pod(pods: Any) -> None:
    assert not pods.alive
    process = started(pods)
    [pod] = pods.pods()
    assert (pod.name, pod.attempt, pod.claim, pod.phase) == ("transfer-1", 1, CLAIM, PodPhase.RUNNING)
    assert pods.alive
    assert process.environment == {"A": "b"}


@pytest.mark.parametrize(
    ("code", "phase", "told"),
    [(0, PodPhase.SUCCEEDED, 0), (3, PodPhase.FAILED, 3), (-9, PodPhase.FAILED, 137)],
)
def test_its_end_is_that_of_a_container(pods: Any, code: int, phase: PodPhase, told: int) -> None:
    process = started(pods)
    process.code = code
    pods.work(10)
    [pod] = pods.pods()
    assert (pod.phase, pod.end.exit_code, pod.finished_at) == (phase, told, NOW)
    assert not pods.alive
    assert process.closed


def test_a_second_start_leaves_no_pod(pods: Any) -> None:
    started(pods).code = int(ExitCode.SECOND_START)
    pods.work(10)
    assert pods.pods() == []


def test_the_beginning_of_an_attempt_ends_the_wait(pods: Any) -> None:
    process: Any = started(pods)
    original = process.wait

    def wait(stops: object, timeout: float) -> int | None:
        process.event({"event": "begun", "attempt": 1, "recorded": 0})
        return original(stops, timeout)

    process.wait = wait
    pods.work(3600)
    assert process.waits == 1
    assert pods.alive


def test_an_ended_one_is_forgotten_and_an_unknown_one_is_not_there(pods: Any) -> None:
    started(pods).code = 0
    pods.work(10)
    [pod] = pods.pods()
    assert pods.delete(pod.uid)
    assert pods.pods() == []
    assert not pods.delete(pod.uid)


def test_one_that_is_to_end_has_its_grace_period_and_is_then_killed(pods: Any, screen: io.StringIO) -> None:
    process = started(pods)
    process.ends_when_told = False
    [pod] = pods.pods()
    assert pods.delete(pod.uid)
    assert pods.delete(pod.uid)
    assert [one.deleting for one in pods.pods()] == [True]
    pods.work(10)
    assert process.signals == ["TERM", "KILL"]
    assert "attempt 1 did not end within its grace period, and is killed" in screen.getvalue()


def test_requests_to_stop_are_passed_on(pods: Any) -> None:
    process = started(pods)
    pods._stops.count = 2
    process.ends_when_told = False
    pods.work(0.01)
    assert process.signals == ["TERM", "TERM"]


def test_closing_ends_it_whatever_it_does(pods: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LAST", 0.0)
    process = started(pods)
    process.ends_when_told = False
    pods.close()
    assert process.signals == ["TERM", "KILL"]
    assert not pods.alive
    pods.close()
