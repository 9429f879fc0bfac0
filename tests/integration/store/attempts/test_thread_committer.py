"""Steps of many sync runs share statements; a lone run commits in its own thread; a locked row stalls no other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from perdure import step, workflow
from perdure.attempt_results import Succeeded
from perdure.engine.branches.attempt import Attempt
from perdure.engine.workflow_call import execute
from perdure.store.attempts.checkpoint import Answer, Checkpoint, Settled
from perdure.store.attempts.thread_committer import ThreadCommitter
from perdure.store.postgres.opener import Opener
from tests.harness.databases import Database
from tests.harness.eventually import eventually

from ...engine.attempts import Run
from .checkpoints import checkpoint_of, statements_sent, stored

STEPS = 40


@step
def count(number: int) -> int:
    return number


@workflow
def counting() -> int:
    return sum(count(n) for n in range(STEPS))


def test_concurrent_sync_runs_share_statements(database: Database) -> None:
    begun = [Run(database.url, counting).begin() for _ in range(16)]
    database.server.reset_statements()
    committer = ThreadCommitter(Opener(database.url), alone=False)
    with ThreadPoolExecutor(16) as threads:
        ending = threads.map(lambda one: execute(counting.definition, Attempt(one.claimed, [], committer)), begun)  # type: ignore[attr-defined]
        assert {type(one) for one in ending} == {Succeeded}
    committer.close()
    assert stored(database) == 16 * STEPS
    assert statements_sent(database, "checkpoint") + statements_sent(database, "checkpoints") < 16 * STEPS


def test_a_lone_sync_run_commits_in_its_own_thread_with_one_statement_a_step(database: Database) -> None:
    begun = Run(database.url, counting).begin()
    committer = ThreadCommitter(Opener(database.url))
    database.server.reset_statements()
    before = threading.active_count()
    threads: set[int] = set()
    commit = committer.commit

    def seen(checkpoint: Checkpoint, *_: Any) -> Settled:
        threads.add(threading.get_ident())
        assert threading.active_count() == before
        return commit(checkpoint)

    committer.commit = seen  # type: ignore[method-assign, assignment]
    execute(counting.definition, Attempt(begun.claimed, [], committer))  # type: ignore[attr-defined]
    committer.close()
    assert threads == {threading.get_ident()}
    assert statements_sent(database, "checkpoint") == STEPS


@pytest.mark.parametrize("poisoned", [False, True])
def test_a_locked_row_holds_no_other_thread(database: Database, poisoned: bool) -> None:
    begun = [Run(database.url, counting).begin() for _ in range(4)]
    committer = ThreadCommitter(Opener(database.url), alone=False)
    settled: dict[int, Settled] = {}
    with database.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", [begun[0].claimed.run_id])

        def work(place: int) -> None:
            result = "{poison" if poisoned and place == 1 else "1"
            for ordinal in range(1, 4):
                settled[place * 10 + ordinal] = committer.commit(checkpoint_of(begun[place], ordinal, result))

        threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(settled) == 9)
        holder.execute("ROLLBACK")
        for thread in threads:
            thread.join(10)
    committer.close()
    assert len(settled) == 12
    wrong = {place: answer for place, answer in settled.items() if answer is not Answer.DONE}
    assert sorted(wrong) == ([11, 12, 13] if poisoned else [])
