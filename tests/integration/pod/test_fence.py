"""Nothing that a superseded attempt writes is accepted, and user code cannot keep its process."""

from __future__ import annotations

import pytest

from tests.harness.eventually import eventually
from tests.harness.processes import alive
from tests.integration.pod.attempts import Attempts, pause, resume


@pytest.mark.parametrize("workflow", ["stubborn", "async_stubborn", "stubborn_in_step"])
def test_a_paused_process_whose_run_was_taken_over_ends_as_superseded(attempts: Attempts, workflow: str) -> None:
    first = attempts.claim(workflow)
    slow = attempts.exec(first)
    attempts.wait_for("hold 1")
    held = [slow.pid, *slow.descendants()]
    pause(held)
    second = attempts.claim_again(first.run)
    attempts.let_go()

    assert attempts.exec(second).wait(20) == 0
    stored = attempts.store.run(first.run)
    assert (stored["state"], stored["result"]) == ("succeeded", 2)
    resume(held)

    assert slow.wait(20) == 76
    assert "swallowed" not in "".join(attempts.log())
    assert attempts.store.run(first.run) == stored
    assert set(attempts.steps(first.run).values()) == {1, 2}
    assert attempts.attempt(first.run, 1)["ending"] == "superseded"


@pytest.mark.parametrize("workflow", ["stubborn", "async_stubborn"])
def test_the_engine_finds_out_by_itself_and_leaves_at_once(attempts: Attempts, workflow: str) -> None:
    first = attempts.claim(workflow)
    slow = attempts.exec(first)
    attempts.wait_for("hold 1")
    pause([slow.pid])
    [engine] = slow.descendants()
    attempts.claim_again(first.run)
    attempts.let_go()

    # Its supervisor sleeps, so only the checkpoint's answer can tell it.
    eventually(lambda: not alive(engine))
    resume([slow.pid])

    assert slow.wait(10) == 76
    assert "swallowed" not in "".join(attempts.log())
    assert attempts.steps(first.run) == {"note" if workflow == "stubborn" else "async_note": 1}


def test_an_attempt_that_is_started_twice_runs_once(attempts: Attempts) -> None:
    attempt = attempts.claim("held")
    attempts.let_go()

    both = [attempts.exec(attempt), attempts.exec(attempt)]

    assert sorted(process.wait(20) for process in both) in ([0, 77], [0, 76])
    assert attempts.log() == ["note before 1", "hold 1", "note after 1"]


def test_a_second_start_while_the_first_runs_does_nothing(attempts: Attempts) -> None:
    attempt = attempts.claim("held")
    first = attempts.exec(attempt)
    attempts.wait_for("hold 1")

    second = attempts.exec(attempt)

    assert second.wait(20) == 77
    assert "begun already" in second.errors
    attempts.let_go()
    assert first.wait(20) == 0
    assert attempts.log() == ["note before 1", "hold 1", "note after 1"]


def test_a_claim_that_is_void_starts_nothing(attempts: Attempts) -> None:
    first = attempts.claim("held")
    attempts.claim_again(first.run)

    assert attempts.exec(first).wait(20) == 76
    assert attempts.log() == []
