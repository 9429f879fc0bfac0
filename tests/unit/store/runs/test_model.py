"""Runs as people see them: what follows from a row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from perdure.store.runs.model import RunInfo, RunState, StepInfo, StepOutcome, owner_of

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def run(owner: str) -> RunInfo:
    return RunInfo(
        "t-1", UUID(int=1), owner, "", "a:b", RunState.PENDING, 0, 0, 0, cancel=False, suspend=False, created=NOON,
        started=None, finished=None, error_type=None, error_message=None,
    )  # fmt: skip


def step(result: str | None, error: str | None) -> StepInfo:
    return StepInfo("charge", "charge", 1, 1, 1, NOON, NOON + timedelta(seconds=2), result, error)


@pytest.mark.parametrize("queue", ["default", "a:b", "queue:"])
def test_a_queue_and_its_owner_are_one(queue: str) -> None:
    assert run(owner_of(queue)).queue == queue


def test_a_clusters_run_is_in_no_queue() -> None:
    assert run("cluster:0815").queue is None


def test_three_states_are_ends() -> None:
    assert {state for state in RunState if state.ended} == {
        RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("result", "error", "outcome"),
    [
        ("null", None, StepOutcome.RESULT),
        (None, '{"type": "a:B"}', StepOutcome.ERROR),
        (None, None, StepOutcome.CANCELLED),
    ],
)
def test_a_step_ended_one_way(result: str | None, error: str | None, outcome: StepOutcome) -> None:
    assert step(result, error).outcome is outcome


def test_a_step_took_all_its_tries() -> None:
    assert step("1", None).duration == timedelta(seconds=2)
