"""What the programs that a workflow starts, and whoever reads its pod's spec or its logs, learn of its secrets."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.nameless import NUMBER, nameless
from tests.integration.pod.attempts import Attempts
from tests.integration.store.rows import Attempt

CLAIM, PASSWORD = "PERDURE_CLAIM", "hunter2-of-the-pod"


def with_password(database: Database) -> str:
    """The database's URL, with a password that no server asks for."""
    scheme, _, rest = database.url.partition("://")
    user, _, place = rest.rpartition("@")
    return f"{scheme}://{user.partition(':')[0] or 'postgres'}:{PASSWORD}@{place}"


def token_of(attempts: Attempts, attempt: Attempt) -> UUID:
    """What `begin` gave for a claim, from the row of an attempt that has ended by its own word."""
    [(token,)] = attempts.store.execute("SELECT token FROM perdure.attempts WHERE run_id = %s", attempt.run)
    assert token not in (None, attempt.claim)
    return UUID(str(token))


def test_a_program_that_a_step_starts_finds_no_secret(attempts: Attempts, database: Database) -> None:
    attempt = attempts.claim("shows_surroundings")
    assert attempts.exec(attempt, PERDURE_DATABASE_URL=with_password(database)).wait(30) == 0
    shown = attempts.store.run(attempt.run)["result"]
    assert f"PERDURE_RUN_ID={attempt.run}" in shown["inherited"], "what is no secret stays"
    assert f"PERDURE_RUN_ID={attempt.run}" in shown["of the child"]
    secrets = [str(token_of(attempts, attempt)), str(attempt.claim), PASSWORD]
    for place in ("inherited", "of the child", "of the supervisor", "arguments"):
        found = [secret for secret in secrets if secret in shown[place]]
        assert not found, place
    assert CLAIM not in shown["inherited"]
    assert "PERDURE_DATABASE_URL" not in shown["inherited"]


def test_a_program_of_the_same_user_reads_no_memory_of_it(attempts: Attempts) -> None:
    attempt = attempts.claim("shows_memory")
    process = attempts.exec(attempt, prefix=nameless())
    assert process.wait(30) == 0, process.errors
    assert attempts.store.run(attempt.run)["result"] == {
        "user": NUMBER,
        "of the child": "PermissionError",
        "of the supervisor": "PermissionError",
        "of a stranger's child": "readable",
    }


def test_no_log_has_a_secret_however_much_is_logged(attempts: Attempts, database: Database) -> None:
    attempt = attempts.claim("logs_everything")
    process = attempts.exec(attempt, PERDURE_DATABASE_URL=with_password(database))
    assert process.wait(30) == 0
    said = process.output + process.errors
    assert "DEBUG" in said
    for secret in (str(token_of(attempts, attempt)), str(attempt.claim), PASSWORD):
        assert secret not in said


def test_whose_begin_was_taken_says_so_and_writes_nothing(attempts: Attempts) -> None:
    attempt = attempts.claim("held")
    attempts.let_go()
    thief = replace(attempt, process=uuid4())
    assert attempts.store.begin(thief)["answer"] == 0
    process = attempts.exec(attempt)
    assert process.wait(20) == 77
    assert "has begun already, in another process" in process.errors
    assert str(attempt.claim) not in process.errors
    assert attempts.log() == []
    assert attempts.steps(attempt.run) == {}
    assert attempts.store.end_attempt(attempt, "begun elsewhere") == 0
    assert attempts.store.finish(thief) == 3
    again = attempts.claim_again(attempt.run)
    assert attempts.exec(again).wait(20) == 0


def test_what_ends_before_the_begin_is_left_to_whoever_claimed(attempts: Attempts) -> None:
    attempt = attempts.claim("held")
    attempts.store.execute("BEGIN")
    try:
        attempts.store.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", attempt.run)
        process = attempts.exec(attempt)
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
        eventually(lambda: attempts.store.execute(waits) == [(1,)], 20)
        process.signal(signal.SIGTERM)
        assert process.wait(20) == 75
    finally:
        attempts.store.execute("ROLLBACK")
    assert attempts.store.run(attempt.run)["claim"] == attempt.claim


def test_arguments_name_none(attempts: Attempts) -> None:
    """The command line is everybody's to read, on a node."""
    attempt = attempts.claim("held")
    process = attempts.exec(attempt)
    attempts.wait_for("note before 1")
    for pid in [process.pid, *process.descendants()]:
        assert str(attempt.claim) not in Path(f"/proc/{pid}/cmdline").read_text()
    row = attempts.store.run(attempt.run)
    assert json.dumps(str(row["token"])) not in json.dumps(process.errors)
    attempts.let_go()
    assert process.wait(20) == 0
