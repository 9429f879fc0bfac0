"""`perdure exec` of a cancelled run whose workflow declares cleanup."""

from __future__ import annotations

import signal
from uuid import UUID

import pytest

from tests.integration.pod.attempts import Attempts


def cancel(attempts: Attempts, run: UUID, *, at_once: bool = False) -> str:
    [(state, _)] = attempts.store.named("request_cancel", run=run, at_once=at_once)
    return str(state)


@pytest.mark.parametrize("workflow", ["saga", "async_saga"])
def test_compensates_over_the_death_of_its_process(attempts: Attempts, workflow: str) -> None:
    first = attempts.claim(workflow)
    process = attempts.exec(first)
    attempts.wait_for("hold 1")
    assert attempts.store.run(first.run)["cleanup_seconds"] == 30, "declared before the first step"

    assert cancel(attempts, first.run) == "running"
    if workflow == "saga":
        attempts.let_go("cancel")
        attempts.let_go()
    attempts.wait_for("hold 1", 2)
    process.kill()
    attempts.store.execute("SELECT perdure.end_attempt(%s, %s, 'crashed', NULL, 9, 'killed')", first.run, first.claim)
    assert attempts.store.run(first.run)["state"] == "pending"

    second = attempts.claim_again(first.run)
    process = attempts.exec(second)
    attempts.wait_for("hold 2")
    # Told to stop in the middle of it, it releases the run for its cleanup.
    process.signal(signal.SIGTERM)
    attempts.let_go("goundo")
    assert process.wait(20) in (75, 78)
    if attempts.store.run(first.run)["state"] == "pending":
        assert attempts.exec(attempts.claim_again(first.run)).wait(20) == 78

    assert attempts.store.run(first.run)["state"] == "cancelled"
    assert [line for line in attempts.log() if line.startswith("note")] in (
        ["note before 1", "note undo 1", "note undone 2"],
        ["note before 1", "note undo 1", "note undone 3"],
    )
    assert [key for key in attempts.steps(first.run) if "cancel" in key] == ["perdure.cancel"]


@pytest.mark.parametrize("workflow", ["late_saga", "late_sync_saga"])
def test_ends_hard_when_its_time_is_over(attempts: Attempts, workflow: str) -> None:
    attempt = attempts.claim(workflow)
    process = attempts.exec(attempt)
    attempts.wait_for("hold 1")
    cancel(attempts, attempt.run)
    if workflow == "late_sync_saga":
        attempts.let_go("cancel")
        attempts.let_go()
    attempts.wait_for("hold 1", 2)

    # A sync step that does not return is given five more seconds.
    assert process.wait(30) == 78
    stored = attempts.store.run(attempt.run)
    assert (stored["state"], stored["error"]["type"]) == ("cancelled", "perdure.errors:CleanupCut")


def test_ends_at_once_where_that_is_asked_for(attempts: Attempts) -> None:
    attempt = attempts.claim("async_saga")
    process = attempts.exec(attempt)
    attempts.wait_for("hold 1")
    cancel(attempts, attempt.run)
    attempts.wait_for("hold 1", 2)
    cancel(attempts, attempt.run, at_once=True)
    assert process.wait(20) == 78
    assert attempts.store.run(attempt.run)["state"] == "cancelled"


def test_crashes_beyond_the_limit_end_it_cancelled(attempts: Attempts) -> None:
    attempt = attempts.claim("async_saga", backoff_limit=0)
    process = attempts.exec(attempt)
    attempts.wait_for("hold 1")
    cancel(attempts, attempt.run)
    attempts.wait_for("hold 1", 2)
    process.kill()
    attempts.store.execute(
        "SELECT perdure.end_attempt(%s, %s, 'crashed', NULL, 9, 'killed')", attempt.run, attempt.claim
    )
    stored = attempts.store.run(attempt.run)
    assert (stored["state"], stored["error"]["type"]) == ("cancelled", "perdure.errors:BackoffLimitExceeded")


@pytest.mark.slow
def test_code_that_does_not_end_is_cut_off(attempts: Attempts) -> None:
    attempt = attempts.claim("never_ends")
    process = attempts.exec(attempt)
    attempts.wait_for("hold 1")
    cancel(attempts, attempt.run)
    attempts.let_go("cancel")
    attempts.let_go()
    assert process.wait(40) == 78
    assert attempts.store.run(attempt.run)["state"] == "cancelled"
