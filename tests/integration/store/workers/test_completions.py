"""How attempts end, many in one call: each run gets its answer, and a lock or a bad value is told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.errors import StoreError, StoreUnavailable
from perdure.names import Claim, RunId
from perdure.store.attempts.checkpoint import Answer
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.workers.claims import ClaimedRun, Claims, Entrypoints, FreeSlots
from perdure.store.workers.completions import Completion, CompletionStore
from tests.harness.databases import Database

from ..rows import OWNER, Session

Begin = Callable[[], ClaimedRun]


@pytest.fixture
def store(database: Database) -> Iterator[CompletionStore]:
    made = CompletionStore(database.url, lease=0.5)
    yield made
    made.close()


@pytest.fixture
def rows(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


@pytest.fixture
def begin(database: Database, rows: Session) -> Iterator[Begin]:
    """Inserts a run, which a worker claims and begins."""
    process = ProcessIdentity(uuid4(), "host", 7, 77)
    claims = Claims(database.url, OWNER, process, Entrypoints(["bank:transfer"], []))

    def begin() -> ClaimedRun:
        rows.insert()
        [run] = claims.claim(FreeSlots(async_runs=1), []).runs
        return run

    yield begin
    claims.close()


def ending(run: ClaimedRun, state: str | None = "succeeded", **values: object) -> Completion:
    return Completion(run.run_id, Claim(run.token), state, **values)  # type: ignore[arg-type]


def test_each_run_gets_its_answer_in_the_order_of_asking(store: CompletionStore, begin: Begin, rows: Session) -> None:
    done, failed, released = (begin() for _ in range(3))
    endings = [
        ending(released, None, detail="stopped"),
        ending(done, result="3"),
        Completion(RunId(uuid4()), Claim(uuid4()), "succeeded"),
        ending(failed, "failed", error='{"type": "a:B", "message": "no"}'),
    ]
    answers = store.write(endings)
    assert [answer is Answer.DONE for answer in answers] == [True, True, False, True]
    assert [rows.run(one.run_id)["state"] for one in (done, failed, released)] == ["succeeded", "failed", "pending"]


def test_a_repeated_write_changes_nothing(store: CompletionStore, begin: Begin, rows: Session) -> None:
    attempt = begin()
    assert store.write([ending(attempt, result="3")]) == [Answer.DONE]
    assert store.write([ending(attempt, result="3")])[0] in (Answer.DONE, Answer.DONE_BEFORE)
    assert rows.run(attempt.run_id)["state"] == "succeeded"


def test_a_run_whose_row_is_locked_is_left_out(
    store: CompletionStore, begin: Begin, rows: Session, database: Database
) -> None:
    locked, free = begin(), begin()
    with closing(database.connect()) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", [locked.run_id])
        assert store.write([ending(locked), ending(free)]) == [Answer.LOCKED, Answer.DONE]
        holder.execute("ROLLBACK")
    assert store.write([ending(locked)]) == [Answer.DONE]


@pytest.mark.parametrize("state", ["succeeded", None])
def test_patiently_the_holder_of_the_lock_is_ended(
    store: CompletionStore, begin: Begin, rows: Session, database: Database, state: str | None
) -> None:
    locked = begin()
    with closing(database.connect()) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", [locked.run_id])
        assert store.write_patiently(ending(locked, state), waited=0.5) is Answer.DONE
    assert rows.run(locked.run_id)["state"] == (state or "pending")


def test_a_value_that_is_no_json_is_refused(store: CompletionStore, begin: Begin, rows: Session) -> None:
    with pytest.raises(StoreError, match="does not take the run's outcome"):
        store.write([ending(begin(), result="{no JSON")])


def test_text_for_people_is_made_storable(store: CompletionStore, begin: Begin, rows: Session) -> None:
    attempt = begin()
    assert store.write([ending(attempt, None, ending=AttemptEnd.CRASHED, detail="a\0b")]) == [Answer.DONE]
    assert rows.execute("SELECT ending, detail FROM perdure.attempts") == [("crashed", "a�b")]


def test_a_store_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="end runs"):
        CompletionStore("postgresql://127.0.0.1:1/nowhere", 1).write([Completion(RunId(uuid4()), Claim(uuid4()), None)])


def test_its_size_is_that_of_its_values() -> None:
    run, claim = RunId(uuid4()), Claim(uuid4())
    assert Completion(run, claim, None).size == 0
    assert Completion(run, claim, "failed", "12", "345", detail="6789").size == 9
    assert str(claim) not in repr(Completion(run, claim, None))
