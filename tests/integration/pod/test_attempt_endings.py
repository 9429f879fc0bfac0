"""How `perdure exec` ends: what the store has, and what its exit code says."""

from __future__ import annotations

import signal

import pytest

from tests.harness.databases import Databases
from tests.harness.eventually import eventually
from tests.harness.processes import alive, signal_all
from tests.integration.pod.attempts import Attempts


def test_a_workflow_that_returns(attempts: Attempts) -> None:
    attempts.let_go()
    for workflow in ("held", "async_held"):
        attempt = attempts.claim(workflow)

        assert attempts.exec(attempt).wait(20) == 0
        stored = attempts.store.run(attempt.run)
        assert (stored["state"], stored["result"], stored["claim"]) == ("succeeded", ["before", 1, "after"], None)
        assert attempts.attempt(attempt.run, 1)["ending"] == "completed"


def test_a_workflow_that_raises_fails_and_shows_its_traceback(attempts: Attempts) -> None:
    attempt = attempts.claim("raising")
    process = attempts.exec(attempt)

    assert process.wait(20) == 1
    assert 'raise LookupError("nothing there")' in process.errors
    stored = attempts.store.run(attempt.run)
    assert (stored["state"], stored["error"]["type"]) == ("failed", "builtins:LookupError")


@pytest.mark.parametrize(
    ("how", "code", "killed_by"),
    [
        ("segfault", None, signal.SIGSEGV),
        ("stack", None, signal.SIGSEGV),
        ("SIGKILL", None, signal.SIGKILL),
        ("os._exit", 0, None),
    ],
)
def test_a_crash_is_reported_and_the_run_goes_on_up_to_its_limit(
    attempts: Attempts, how: str, code: int | None, killed_by: int | None
) -> None:
    attempt = attempts.claim("deadly", f'{{"how": "{how}"}}', backoff_limit=1)

    assert attempts.exec(attempt).wait(20) == 79
    ended = attempts.attempt(attempt.run, 1)
    assert (ended["ending"], ended["code"], ended["signal"]) == ("crashed", code, killed_by)
    assert attempts.store.run(attempt.run)["state"] == "pending"
    assert attempts.exec(attempts.claim_again(attempt.run)).wait(20) == 79
    stored = attempts.store.run(attempt.run)
    assert (stored["state"], stored["error"]["type"]) == ("failed", "perdure.errors:BackoffLimitExceeded")
    assert attempts.log() == ["note before 1", "die 1", "die 2"]


def test_sys_exit_in_a_step_is_an_error_of_the_step(attempts: Attempts) -> None:
    attempt = attempts.claim("deadly", '{"how": "sys.exit"}')

    assert attempts.exec(attempt).wait(20) == 1
    assert attempts.store.run(attempt.run)["error"]["type"] == "builtins:SystemExit"


def test_the_whole_group_killed_at_once_leaves_the_run_for_another(attempts: Attempts) -> None:
    attempt = attempts.claim("held")
    process = attempts.exec(attempt)
    attempts.wait_for("hold 1")

    signal_all([process.pid, *process.descendants()], signal.SIGKILL)

    process.wait()
    assert attempts.store.run(attempt.run)["state"] == "running"
    attempts.let_go()
    assert attempts.exec(attempts.claim_again(attempt.run)).wait(20) == 0
    assert attempts.log() == ["note before 1", "hold 1", "hold 2", "note after 2"]


def test_nothing_that_a_step_started_outlives_the_attempt(attempts: Attempts) -> None:
    attempt = attempts.claim("with_child")
    process = attempts.exec(attempt)
    attempts.wait_for("spawned")
    eventually(lambda: len(process.descendants()) == 2)
    below = process.descendants()
    attempts.let_go()

    assert process.wait(20) == 0
    assert not any(alive(pid) for pid in below)


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ("nowhere:flow", "there is no module 'nowhere'"),
        ("flows:hedl", "did you mean 'held'?"),
        ("flows:plain", "mark it @workflow"),
        ("flows:note", "is a step, not a workflow"),
        ("broken:flow", "line 3: import not_there"),
    ],
)
def test_an_entrypoint_that_cannot_be_had_fails_the_run(attempts: Attempts, entrypoint: str, message: str) -> None:
    (attempts.folder / "broken.py").write_text("import sys\n\nimport not_there\n")
    attempt = attempts.claim_again(attempts.store.insert(entrypoint=entrypoint))
    process = attempts.exec(attempt)

    assert process.wait(20) == 1
    stored = attempts.store.run(attempt.run)
    assert stored["state"] == "failed"
    assert stored["error"]["type"] == "perdure.errors:EntrypointError"
    assert message in stored["error"]["message"]
    assert message in process.errors
    assert "Traceback" not in process.errors


def test_input_that_does_not_fit_fails_the_run(attempts: Attempts) -> None:
    attempt = attempts.claim("deadly", '{"how": 3}')

    assert attempts.exec(attempt).wait(20) == 1
    assert "how" in attempts.store.run(attempt.run)["error"]["message"]
    assert attempts.log() == []


def test_a_store_that_is_not_there_or_not_migrated_starts_nothing(attempts: Attempts, databases: Databases) -> None:
    attempt = attempts.claim("held")
    gone = attempts.exec(attempt, PERDURE_DATABASE_URL="postgresql://127.0.0.1:1/x", PERDURE_PATIENCE_SECONDS="0.5")
    empty = attempts.exec(attempt, PERDURE_DATABASE_URL=databases.empty().url)

    assert (gone.wait(20), empty.wait(20)) == (69, 69)
    assert "the store does not answer" in gone.errors
    assert "perdure migrate" in empty.errors


def test_an_environment_that_names_nothing_is_refused(attempts: Attempts) -> None:
    process = attempts.exec(attempts.claim("held"), PERDURE_RUN_ID="", PERDURE_CLAIM="x")

    assert process.wait(20) == 64
    assert "PERDURE_RUN_ID is not set" in process.errors
    assert "PERDURE_CLAIM is no UUID" in process.errors
