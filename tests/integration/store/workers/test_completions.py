"""How attempts end, many in one call: each run gets its answer, and a lock or a bad value is told apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from perdure.attempt_results import Cancelled, Crashed, Failed, Released, RunEnd, Succeeded
from perdure.errors import StoreError, StoreUnavailable
from perdure.names import Claim, RunId
from perdure.store.attempts.checkpoint import Answer
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.workers.claims import ClaimedRun, Claims, Entrypoints, FreeSlots
from perdure.store.workers.completions import Completion, CompletionStore
from tests.harness.databases import Database

from ..rows import OWNER, Session

Begin = Callable[[], ClaimedRun]

DONE = Succeeded("3")
LEFT = Released("stopped")


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


def ending(run: ClaimedRun, end: RunEnd | Released | Crashed = DONE) -> Completion:
    return Completion(run.run_id, Claim(run.token), end)


def test_each_run_gets_its_answer_in_the_order_of_asking(store: CompletionStore, begin: Begin, rows: Session) -> None:
    done, failed, released = (begin() for _ in range(3))
    endings = [
        ending(released, LEFT),
        ending(done),
        Completion(RunId(uuid4()), Claim(uuid4()), DONE),
        ending(failed, Failed('{"type": "a:B", "message": "no"}')),
    ]
    answers = store.write(endings)
    assert [answer is Answer.DONE for answer in answers] == [True, True, False, True]
    assert [rows.run(one.run_id)["state"] for one in (done, failed, released)] == ["succeeded", "failed", "pending"]


def test_a_repeated_write_changes_nothing(store: CompletionStore, begin: Begin, rows: Session) -> None:
    attempt = begin()
    assert store.write([ending(attempt)]) == [Answer.DONE]
    assert store.write([ending(attempt)])[0] in (Answer.DONE, Answer.DONE_BEFORE)
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


@pytest.mark.parametrize(("end", "state"), [(DONE, "succeeded"), (LEFT, "pending"), (Crashed("broke off"), "pending")])
def test_patiently_the_holder_of_the_lock_is_ended(
    store: CompletionStore,
    begin: Begin,
    rows: Session,
    database: Database,
    end: Succeeded | Released | Crashed,
    state: str,
) -> None:
    locked = begin()
    with closing(database.connect()) as holder:
        holder.execute("BEGIN")
        holder.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", [locked.run_id])
        assert store.write_patiently(ending(locked, end), waited=0.5) is Answer.DONE
    assert rows.run(locked.run_id)["state"] == state


def test_a_value_that_is_no_json_is_refused(store: CompletionStore, begin: Begin, rows: Session) -> None:
    with pytest.raises(StoreError, match="does not take the run's outcome"):
        store.write([ending(begin(), Succeeded("{no JSON"))])


def test_text_for_people_is_made_storable(store: CompletionStore, begin: Begin, rows: Session) -> None:
    attempt = begin()
    assert store.write([ending(attempt, Crashed("a\0b"))]) == [Answer.DONE]
    assert rows.execute("SELECT ending, detail FROM perdure.attempts") == [("crashed", "a�b")]


def test_a_store_that_is_away_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable, match="end runs"):
        CompletionStore("postgresql://127.0.0.1:1/nowhere", 1).write([Completion(RunId(uuid4()), Claim(uuid4()), LEFT)])


@pytest.mark.parametrize(
    ("end", "characters"),
    [
        (Succeeded("12345"), 5),
        (Failed('{"type":"x"}'), 12),
        (Cancelled(), 0),
        (Cancelled(Failed("{}")), 2),
        (Released("told to stop"), 12),
        (Crashed("broke off"), 9),
    ],
)
def test_its_size_is_that_of_its_values(end: RunEnd | Released | Crashed, characters: int) -> None:
    completion = Completion(RunId(uuid4()), Claim(uuid4()), end)
    assert completion.size == characters
    assert str(completion.claim) not in repr(completion)
