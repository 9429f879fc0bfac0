"""The end of a run as the status tells it: reason, result and error, within their limits."""

from __future__ import annotations

import json

import pytest

from perdure.store.runs.model import RunState
from perdure_operator.decide.plan import Kind, Reason
from perdure_operator.decide.telling.run_result import ending, error_of, result_of
from perdure_operator.truncate import MAX_ERROR_BYTES, MAX_RESULT_BYTES
from tests.unit.operator.decide.builders import run


def failed(type: object = "bank:Refused", message: object = "no money", **more: object) -> str:
    return json.dumps({"type": type, "message": message, **more})


@pytest.mark.parametrize(("steps", "said"), [(1, "succeeded after 1 step"), (2, "succeeded after 2 steps")])
def test_a_success_counts_its_steps(steps: int, said: str) -> None:
    found = ending(run(RunState.SUCCEEDED, steps=steps))
    assert (found.kind, found.reason, found.message) == (Kind.SUCCEEDED, Reason.SUCCEEDED, said)


@pytest.mark.parametrize(
    ("type", "reason"),
    [
        ("bank:Refused", Reason.FAILED),
        ("perdure.errors:DeadlineExceeded", Reason.DEADLINE_EXCEEDED),
        ("perdure.errors:BackoffLimitExceeded", Reason.BACKOFF_LIMIT_EXCEEDED),
        ("perdure.errors:DisruptionLimitExceeded", Reason.DISRUPTION_LIMIT_EXCEEDED),
        ("perdure.errors:InputError", Reason.INVALID_INPUT),
        ("perdure.errors:EntrypointError", Reason.INVALID_ENTRYPOINT),
    ],
)
def test_a_failure_has_the_reason_of_its_type(type: str, reason: Reason) -> None:
    found = ending(run(RunState.FAILED, error=failed(type)))
    assert (found.kind, found.reason) == (Kind.FAILED, reason)
    assert found.message == f"{type.rpartition(':')[2]}: no money"


def test_a_failure_without_an_error_counts_its_steps() -> None:
    assert ending(run(RunState.FAILED, steps=3)).message == "failed after 3 steps"


def test_a_cancelled_run_tells_how_its_cleanup_ended() -> None:
    assert ending(run(RunState.CANCELLED)).message == "cancelled after 0 steps"
    found = ending(run(RunState.CANCELLED, error=failed()))
    assert found.reason is Reason.CANCELLED
    assert found.message.endswith("its cleanup ended with Refused: no money")


def test_a_result_is_shown_if_it_is_short() -> None:
    short = '"' + "x" * (MAX_RESULT_BYTES - 2) + '"'
    assert result_of(run(RunState.SUCCEEDED, result=short)) == short
    said = result_of(run(RunState.SUCCEEDED, result=short + " ")) or ""
    assert f"({MAX_RESULT_BYTES + 1} bytes)" in said
    assert "perdure show" in said
    assert "(99999 bytes)" in (result_of(run(RunState.SUCCEEDED, result_bytes=99_999)) or "")
    assert result_of(run(RunState.SUCCEEDED)) is None
    assert result_of(run(RunState.FAILED, result="3")) is None


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (failed(), ("bank:Refused", "no money")),
        (failed(None, None), (None, None)),
        (failed(3, ["a"]), ("3", "['a']")),
        ("no JSON", (None, "no JSON")),
        ("[1]", (None, "[1]")),
        (None, (None, None)),
    ],
)
def test_an_error_is_read_whatever_wrote_it(error: str | None, found: tuple[str | None, str | None]) -> None:
    assert error_of(run(RunState.FAILED, error=error)) == found
    assert error_of(run(RunState.SUCCEEDED, error=error)) == (None, None)


def test_a_long_error_is_cut() -> None:
    name, message = error_of(run(RunState.FAILED, error=failed("é" * 5000, "é" * 500_000)))
    assert len((name or "").encode()) <= 256
    assert len(((name or "") + (message or "")).encode()) <= MAX_ERROR_BYTES
