"""How attempts end: the store's words for it, and what is kept of an error."""

from __future__ import annotations

import pytest

from perdure.attempt_results import (
    AttemptResult,
    Cancelled,
    Failed,
    Released,
    RunEnd,
    Succeeded,
    Superseded,
    columns,
    without_exceptions,
)
from perdure.serialization.failures.failure import Failure
from perdure.store.runs.model import RunState

ERROR = ValueError("no")
FAILED = Failed.of(ERROR)


def test_an_error_is_recorded_as_it_is_when_the_run_ends() -> None:
    assert FAILED.raised is ERROR
    assert str(Failure.from_json(FAILED.error).revive()) == "no"


@pytest.mark.parametrize(
    ("end", "stored"),
    [
        (Succeeded("1"), ("succeeded", "1", None)),
        (FAILED, ("failed", None, FAILED.error)),
        (Cancelled(), ("cancelled", None, None)),
        (Cancelled(FAILED), ("cancelled", None, FAILED.error)),
    ],
)
def test_the_end_of_a_run_has_the_columns_of_its_row(end: RunEnd, stored: tuple[str, str | None, str | None]) -> None:
    assert columns(end) == stored


def test_the_store_knows_the_same_ends_of_runs() -> None:
    ends: list[RunEnd] = [Succeeded("1"), FAILED, Cancelled()]
    assert {columns(end)[0] for end in ends} == {state for state in RunState if state.ended}


def test_the_exception_can_be_left_out_of_a_result_and_nothing_else() -> None:
    failed, cancelled = without_exceptions(FAILED), without_exceptions(Cancelled(FAILED))
    assert isinstance(failed, Failed)
    assert isinstance(cancelled, Cancelled)
    assert cancelled.cleanup is not None
    assert (failed.raised, cancelled.cleanup.raised) == (None, None)
    assert (failed, cancelled) == (FAILED, Cancelled(FAILED))
    others: list[AttemptResult] = [Succeeded("1"), Cancelled(), Released("told to stop"), Superseded("by another")]
    assert [without_exceptions(one) for one in others] == others
