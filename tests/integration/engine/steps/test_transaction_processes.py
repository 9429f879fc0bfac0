"""Processes that are killed or paused in a database step."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from perdure.attempt_results import Succeeded
from perdure.store.postgres.statements import statement
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.processes import Child, Children, stopped
from tests.integration.engine.attempts import Run
from tests.integration.engine.workflows import enter_many, hold_a_row

ROOT = Path(__file__).parents[4]
CHILD = """
    import os, signal, sys, uuid
    import psycopg
    from tests.integration.engine import workflows
    from tests.integration.engine.attempts import Run

    url, run, name, pause_at, lease = sys.argv[1:]
    if pause_at:
        execute = psycopg.Cursor.execute

        def paused(self, query, *args, **kwargs):
            global pause_at
            if query == pause_at.encode():
                pause_at = ""
                os.kill(os.getpid(), signal.SIGSTOP)
            return execute(self, query, *args, **kwargs)

        psycopg.Cursor.execute = paused
    ending = Run(url, getattr(workflows, name), run=uuid.UUID(run)).attempt(lease=float(lease))
    print("ended", type(ending).__name__)
"""


def start(children: Children, run: Run, workflow: str, *, pause_at: str = "", lease: float = 6.0) -> Child:
    path = f"{ROOT}:{ROOT / 'runtime'}"
    return children.code(CHILD, run.url, str(run.id), workflow, pause_at, str(lease), env={"PYTHONPATH": path})


@pytest.fixture
def ledger(database: Database) -> Database:
    database.query("CREATE TABLE entries (key text NOT NULL)")
    return database


def test_a_process_killed_at_any_point_leaves_both_or_neither(ledger: Database, children: Children) -> None:
    run = Run(ledger.url, enter_many, 400)
    chance = random.Random(11)
    seen = 0
    for _ in range(8):
        child = start(children, run, "enter_many")

        def further(seen: int = seen) -> bool:
            return len(ledger.query("SELECT key FROM entries")) > seen

        eventually(further, every=0.001)
        time.sleep(chance.uniform(0, 0.05))  # anywhere in a step
        child.kill()
        # The server finds out that nobody is there any more; until then the transaction may still be open.
        left = f"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'perdure {run.id}%%'"
        eventually(lambda left=left: ledger.query(left) == [(0,)])  # type: ignore[misc]
        written = ledger.query("SELECT key FROM entries ORDER BY key")
        assert written == ledger.query("SELECT step_key FROM perdure.steps ORDER BY step_key")
        assert len(written) > seen
        seen = len(written)
    assert isinstance(run.attempt(), Succeeded)
    assert ledger.query("SELECT count(*), count(DISTINCT key) FROM entries") == [(400, 400)]


def test_a_process_paused_before_commit_blocks_a_claim_no_longer_than_the_lease(
    ledger: Database, children: Children
) -> None:
    run = Run(ledger.url, enter_many, 1)
    child = start(children, run, "enter_many", pause_at="COMMIT", lease=1.5)
    eventually(lambda: stopped(child.pid))
    begun = time.monotonic()
    claim = run.claim()
    took = time.monotonic() - begun
    assert 0.2 < took < 1.5 + 1
    assert isinstance(run.attempt(claim=claim), Succeeded)
    assert ledger.query("SELECT count(*) FROM entries") == [(1,)]
    child.signal(signal.SIGCONT)
    child.wait_for_output("ended Superseded")
    assert ledger.query("SELECT count(*) FROM entries") == [(1,)]
    assert ledger.query("SELECT attempt FROM perdure.steps") == [(2,)]


def test_whoever_claims_can_end_the_transaction_at_once(ledger: Database, children: Children) -> None:
    run = Run(ledger.url, enter_many, 1)
    child = start(children, run, "enter_many", pause_at="COMMIT", lease=30)
    eventually(lambda: stopped(child.pid))
    with ledger.connect() as connection:
        ended = connection.execute(statement("end_older_transactions"), {"run": str(run.id), "attempt": 2}).fetchall()
    assert ended == [(1,)]
    begun = time.monotonic()
    claim = run.claim()
    assert time.monotonic() - begun < 5
    assert isinstance(run.attempt(claim=claim), Succeeded)
    child.signal(signal.SIGCONT)
    child.wait_for_output("ended Superseded")
    assert ledger.query("SELECT count(*) FROM entries") == [(1,)]


def test_a_process_paused_in_the_body_does_not_hold_up_the_next_attempt(ledger: Database, children: Children) -> None:
    ledger.query("INSERT INTO entries VALUES ('row')")
    run = Run(ledger.url, hold_a_row)
    child = start(children, run, "hold_a_row", pause_at="SELECT 'held'")
    eventually(lambda: stopped(child.pid))
    begun = time.monotonic()
    assert isinstance(run.attempt(), Succeeded)
    assert time.monotonic() - begun < 10, "it ends what an older attempt holds instead of waiting for it"
    assert ledger.query("SELECT key FROM entries") == [("row+",)]
    child.signal(signal.SIGCONT)
    child.wait_for_output("ended Superseded")
    assert ledger.query("SELECT key FROM entries") == [("row+",)]
