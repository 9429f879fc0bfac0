"""The operator's process: exit codes, what the kubelet is told, and whose runs are its own."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from perdure_operator import logs
from perdure_operator import main as module
from perdure_operator.errors import Misconfigured, Unavailable
from perdure_operator.main import Operator, main
from perdure_operator.settings import Settings

ENOUGH = {"PERDURE_DATABASE_URL": "postgresql://store/perdure", "PERDURE_OPERATOR_POD_DATABASE_SECRET": "perdure"}


def operator(*more: str) -> Any:
    return Operator(Settings.parse(["--leader-election", "false", *more], ENOUGH))


@pytest.fixture(autouse=True)
def _enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENOUGH.items():
        monkeypatch.setenv(name, value)


def test_settings_that_make_no_sense_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--http-port", "none"]) == 64
    assert capsys.readouterr().err.startswith("perdure-operator: ")


@pytest.mark.parametrize(("error", "code"), [(None, 0), (Misconfigured("no credentials"), 64)])
def test_the_exit_code_is_that_of_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception | None, code: int
) -> None:
    async def run(_: object) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(Operator, "run", run)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    assert main(["--leader-election", "false"]) == code
    assert capsys.readouterr().err == ("" if error is None else "perdure-operator: no credentials\n")


def test_its_runs_are_its_clusters_and_its_instances() -> None:
    assert asyncio.run(operator("--cluster-id", "blue")._identify()) == "cluster:blue"
    assert asyncio.run(operator("--cluster-id", "blue", "--instance", "one")._identify()) == "cluster:blue/one"


def test_without_an_id_it_is_the_uid_of_a_namespace_once_the_api_server_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_ASK_AGAIN", 0.01)
    made = operator()
    answers: list[Any] = [Unavailable("get namespaces", "away"), {"metadata": {"uid": "u-1"}}]
    told: list[list[str]] = []

    async def get(*_: object) -> Any:
        told.append(made._unready())
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    made._kube = SimpleNamespace(get=get)
    assert asyncio.run(made._identify()) == "cluster:u-1"
    assert told == [
        ["the API server: it has not reached the API server yet"],
        ["the API server: get namespaces: away"],
    ]
    assert made._unready() == []


def test_it_is_dead_while_a_reconcile_hangs() -> None:
    made = operator()
    assert made._dead() == []
    made._controller = SimpleNamespace(queue=SimpleNamespace(longest_running=299.0), problems=lambda: ["the store"])
    assert made._dead() == []
    made._controller.queue.longest_running = 301.0
    assert made._dead() == ["a reconcile has not ended for 301 s"]
    made._problem = None
    assert made._unready() == ["the store"]


def test_a_lease_that_cannot_be_had_is_told() -> None:
    made = operator()
    made._problem = None
    made._elector = SimpleNamespace(problem="forbidden")
    assert made._unready() == ["the Lease: forbidden"]


def test_metrics_of_the_controller_are_there_while_it_stands_by() -> None:
    made = operator()
    made._offer_metrics()
    text = made._metrics.text().decode()
    assert "perdure_operator_leading 0.0" in text
    assert "perdure_operator_resync_age_seconds NaN" in text
