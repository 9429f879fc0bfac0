"""`perdure exec` that is told to stop: steps under way finish, no other begins, and the run is released."""

from __future__ import annotations

import signal

import pytest

from tests.harness.eventually import eventually
from tests.integration.pod.attempts import Attempts


@pytest.mark.parametrize("workflow", ["held", "async_held"])
def test_the_step_in_flight_finishes_and_the_next_attempt_goes_on_behind_it(attempts: Attempts, workflow: str) -> None:
    first = attempts.claim(workflow)
    process = attempts.exec(first)
    attempts.wait_for("hold 1")
    attempts.let_go("drain")

    process.signal(signal.SIGTERM)
    attempts.let_go()

    assert process.wait(20) == 75
    (attempts.folder / "drain").unlink()
    stored = attempts.store.run(first.run)
    assert (stored["state"], stored["claim"], stored["crashes"]) == ("pending", None, 0)
    assert attempts.attempt(first.run, 1)["ending"] == "released"
    assert attempts.exec(attempts.claim_again(first.run)).wait(20) == 0
    assert attempts.store.run(first.run)["result"] == ["before", 1, "after"]
    assert attempts.log() == ["note before 1", "hold 1", "note after 2"]


@pytest.mark.parametrize("workflow", ["in_threads", "in_tasks"])
def test_every_branch_may_finish_its_step(attempts: Attempts, workflow: str) -> None:
    first = attempts.claim(workflow)
    process = attempts.exec(first)
    attempts.wait_for("hold 1", 2)
    attempts.let_go("drain")

    process.signal(signal.SIGTERM)
    attempts.let_go("go2")
    # The branch that has finished stands before its next step, and waits there for the other.
    eventually(lambda: len(attempts.steps(first.run)) == 1)
    attempts.let_go("go1")

    assert process.wait(20) == 75
    (attempts.folder / "drain").unlink()
    assert sorted(attempts.steps(first.run).values()) == [1, 1]
    assert attempts.exec(attempts.claim_again(first.run)).wait(20) == 0
    assert attempts.store.run(first.run)["result"] == [1, 1]
    assert attempts.log() == ["hold 1", "hold 1", "note after 2 2"]


@pytest.mark.parametrize(("workflow", "line"), [("asleep", "note before 1"), ("pausing", "failing 1")])
def test_nothing_in_flight_is_nothing_to_wait_for(attempts: Attempts, workflow: str, line: str) -> None:
    first = attempts.claim(workflow)
    process = attempts.exec(first, PERDURE_GRACE_SECONDS="60")
    attempts.wait_for(line)

    process.signal(signal.SIGTERM)

    assert process.wait(10) == 75
    attempts.let_go()
    assert attempts.exec(attempts.claim_again(first.run)).wait(20) == 0


def test_a_step_that_takes_too_long_is_killed_before_the_grace_period_ends(attempts: Attempts) -> None:
    first = attempts.claim("held")
    process = attempts.exec(first, PERDURE_GRACE_SECONDS="2")
    attempts.wait_for("hold 1")

    process.signal(signal.SIGTERM)

    assert process.wait(10) == 75
    assert attempts.steps(first.run) == {"note": 1}
    assert attempts.attempt(first.run, 1)["ending"] == "released"


@pytest.mark.parametrize("workflow", ["ticking", "async_held"])
def test_a_run_that_is_to_be_cancelled_ends_so(attempts: Attempts, workflow: str) -> None:
    attempt = attempts.claim(workflow)
    process = attempts.exec(attempt)
    eventually(lambda: attempts.steps(attempt.run), 15)

    attempts.store.named("request_cancel", run=attempt.run)

    assert process.wait(20) == 78
    assert attempts.store.run(attempt.run)["state"] == "cancelled"


def test_a_run_cancelled_before_it_begins_runs_nothing(attempts: Attempts) -> None:
    attempt = attempts.claim("held")
    attempts.store.named("request_cancel", run=attempt.run)

    assert attempts.exec(attempt).wait(20) == 78
    assert attempts.log() == []
    assert attempts.store.run(attempt.run)["state"] == "cancelled"


@pytest.mark.parametrize("workflow", ["ticking", "async_held", "held"])
def test_a_run_past_its_deadline_fails(attempts: Attempts, workflow: str) -> None:
    attempt = attempts.claim(workflow, deadline_seconds=1.5)

    # A sync step that does not return is given five more seconds.
    assert attempts.exec(attempt).wait(20) == 1
    stored = attempts.store.run(attempt.run)
    assert (stored["state"], stored["error"]["type"]) == ("failed", "perdure.errors:DeadlineExceeded")
