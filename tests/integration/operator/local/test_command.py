"""A manifest without a cluster: its run, what is told of it, and which files are no way to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perdure.errors import RunConflict, UsageError
from perdure.local.interactive import Interrupted
from perdure.process.attempt_process import StopRequests
from perdure.process.exit_codes import ExitCode
from perdure.store.runs.model import RunState
from perdure_operator.local.command import LocalOutcome, run
from tests.harness.databases import Database

CODE = """
from perdure import step, workflow

@step
def double(amount: int) -> int:
    return 2 * amount

@workflow
def flow(amount: int) -> int:
    return double(amount)

@workflow
def fails(amount: int) -> int:
    raise ValueError("no money")
"""


class Manifests:
    """Runs manifests on one database."""

    def __init__(self, folder: Path, url: str) -> None:
        self.file = folder / "w.json"
        self.url = url

    def run(self, *others: Any, **spec: Any) -> LocalOutcome:
        given = {"entrypoint": "bank:flow", "input": {"amount": 3}, "source": {"inline": {"bank.py": CODE}}} | spec
        body = {
            "apiVersion": "perdure.io/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": "w", "namespace": "shop"},
            "spec": {name: value for name, value in given.items() if value is not None},
        }
        self.file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [body, *others]}))
        with StopRequests() as stops:
            return run(self.file, self.url, stops)


@pytest.fixture
def manifests(database: Database, tmp_path: Path) -> Manifests:
    return Manifests(tmp_path, database.url)


def finished(outcome: LocalOutcome) -> tuple[str, str]:
    [found] = [one for one in outcome.workflow["status"]["conditions"] if one["type"] == "Finished"]
    return found["status"], found["reason"]


def test_a_workflow_runs_to_its_end(manifests: Manifests, database: Database) -> None:
    outcome = manifests.run()
    assert outcome.run is not None
    assert (outcome.run.run.state, outcome.run.result) == (RunState.SUCCEEDED, "6")
    assert finished(outcome) == ("True", "Succeeded")
    assert outcome.workflow["metadata"] == {"name": "w", "namespace": "shop", "uid": str(outcome.run.run.run_id)}
    assert database.query("SELECT ending FROM perdure.attempts") == [("completed",)]


def test_the_same_file_again_tells_the_same_end(manifests: Manifests, database: Database) -> None:
    first, again = manifests.run(), manifests.run()
    assert first.run is not None
    assert again.run is not None
    assert again.run.run.run_id == first.run.run.run_id
    assert database.query("SELECT count(*) FROM perdure.attempts") == [(1,)]


def test_a_failure_is_the_workflows(manifests: Manifests) -> None:
    outcome = manifests.run(entrypoint="bank:fails")
    assert outcome.run is not None
    assert outcome.run.run.state is RunState.FAILED
    assert finished(outcome) == ("True", "Failed")
    assert outcome.message == "ValueError: no money"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"entrypoint": "bank:fails"}, "entrypoint"),
        ({"input": {"amount": 4}}, "input"),
        ({"source": {"inline": {"bank.py": CODE + "# more"}}}, "source"),
    ],
)
def test_what_may_not_be_changed_is_named(manifests: Manifests, change: dict[str, Any], why: str) -> None:
    manifests.run()
    with pytest.raises(RunConflict) as refused:
        manifests.run(**change)
    assert why in str(refused.value)
    assert "perdure delete shop/w" in str(refused.value)


def test_code_in_a_config_map_of_the_file(manifests: Manifests) -> None:
    source = {"configMap": {"name": "code"}}
    with pytest.raises(UsageError, match="the ConfigMap code, which is not in this file"):
        manifests.run(source=source)
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "code", "namespace": "shop"}}
    outcome = manifests.run({**found, "data": {"bank.py": CODE}}, source=source)
    assert outcome.run is not None
    assert outcome.run.result == "6"


def test_one_that_is_suspended_waits_for_a_person(manifests: Manifests, database: Database) -> None:
    outcome = manifests.run(suspend=True)
    assert outcome.run is None
    assert finished(outcome) == ("False", "Suspended")
    assert outcome.code is ExitCode.RELEASED
    assert database.query("SELECT count(*) FROM perdure.attempts") == [(0,)]


def test_what_has_no_effect_here_is_told(manifests: Manifests, capfd: pytest.CaptureFixture[str]) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "shop"}}
    manifests.run(other, ttlSecondsAfterFinished=0, podTemplate={"spec": {"nodeName": "n"}})
    told = capfd.readouterr().err
    assert "not used, of the same file: ConfigMap other" in told
    assert "ttlSecondsAfterFinished" in told


def test_a_file_without_a_workflow_is_refused(manifests: Manifests) -> None:
    manifests.file.write_text("{}")
    with StopRequests() as stops, pytest.raises(UsageError):
        run(manifests.file, manifests.url, stops)


def test_once_told_to_stop_it_starts_nothing(
    manifests: Manifests, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StopRequests, "__enter__", _told_before(StopRequests.__enter__))
    with pytest.raises(Interrupted):
        manifests.run()
    assert database.query("SELECT count(*) FROM perdure.attempts") == [(0,)]


def _told_before(enter: Any) -> Any:
    def entered(stops: StopRequests) -> StopRequests:
        enter(stops)
        stops.count = 1
        return stops

    return entered
