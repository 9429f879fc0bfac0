"""The calls of one attempt: what each answers to who owns the run, and to who does not."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from perdure import workflow
from perdure.attempt_ends import AttemptEnd
from perdure.attempt_results import Cancelled, Failed, RunEnd, Succeeded, columns
from perdure.errors import SchemaMismatch, StoreUnavailable, Superseded
from perdure.names import Claim, Token
from perdure.store.attempts.attempts import AttemptStore, SecondStart, Verdict
from perdure.store.attempts.checkpoint import Answer
from perdure.store.attempts.thread_committer import ThreadCommitter
from perdure.store.postgres.opener import Opener
from perdure.store.postgres.process_identity import ProcessIdentity
from tests.harness.databases import Database

from ...engine.attempts import Run
from .checkpoints import checkpoint_of

ERROR = '{"type": "a:B", "message": "no"}'


@workflow
def greet(name: str) -> str:
    return name


@pytest.fixture
def store(database: Database) -> Iterator[AttemptStore]:
    made = AttemptStore(Opener(database.url))
    yield made
    made.close()


@pytest.fixture
def run(database: Database) -> Run:
    return Run(database.url, greet, "Ada")


def process() -> ProcessIdentity:
    return ProcessIdentity(uuid4(), "here", 1, 0, node="node-1")


def test_begin_trades_the_claim_for_a_token_and_tells_what_is_to_be_run(store: AttemptStore, run: Run) -> None:
    begun = store.begin(run.id, run.claim(), process())
    assert (begun.number, begun.entrypoint, begun.input) == (1, greet.definition.entrypoint, '{"name":"Ada"}')  # type: ignore[attr-defined]
    assert (begun.owner, begun.source, begun.cancelled, begun.suspend) == ("queue:default", None, False, False)
    assert (begun.deadline_in, begun.cleanup, begun.declared_cleanup) == (None, None, None)


def test_the_same_process_may_ask_again_and_no_other(store: AttemptStore, run: Run) -> None:
    claim, mine = run.claim(), process()
    token = store.begin(run.id, claim, mine).token
    assert store.begin(run.id, claim, mine).token == token
    with pytest.raises(SecondStart):
        store.begin(run.id, claim, process())


def test_a_claim_that_is_void_begins_nothing(store: AttemptStore, run: Run) -> None:
    claim = run.claim()
    run.claim()
    with pytest.raises(Superseded, match=str(claim)[:8]) as refused:
        store.begin(run.id, claim, process())
    assert str(claim) not in str(refused.value)
    with pytest.raises(Superseded):
        store.begin(run.id, Claim(uuid4()), process())


def test_a_schema_that_serves_this_client_no_more_says_what_to_upgrade(
    store: AttemptStore, run: Run, database: Database
) -> None:
    claim = run.claim()
    database.query("UPDATE perdure.meta SET schema_version = 1000, oldest_client = 1000")
    with pytest.raises(SchemaMismatch, match="upgrade perdure here"):
        store.begin(run.id, claim, process())


def test_load_gives_each_run_its_checkpoints_in_order(store: AttemptStore, database: Database) -> None:
    runs = [Run(database.url, greet, "Ada") for _ in range(3)]
    begun = [one.begin() for one in runs]
    committer = ThreadCommitter(Opener(database.url))
    for place, ordinal, result in ((0, 1, "1"), (1, 1, '"é"'), (0, 2, "2")):
        assert committer.commit(checkpoint_of(begun[place], ordinal, result)) is Answer.DONE
    committer.close()
    loaded = store.load([(one.id, begun[n].claimed.token) for n, one in enumerate(runs)])
    assert {one.id: [(step.key, step.result) for step in loaded[one.id]] for one in runs} == {
        runs[0].id: [("work#1", "1"), ("work#2", "2")],
        runs[1].id: [("work#1", '"é"')],
        runs[2].id: [],
    }
    with pytest.raises(Superseded):
        store.load([(runs[0].id, begun[0].claimed.token), (runs[1].id, Token(uuid4()))])


def test_a_heartbeat_raises_the_counter_and_brings_what_is_asked_of_the_run(
    store: AttemptStore, run: Run, database: Database
) -> None:
    token = run.begin().claimed.token
    answered = store.heartbeat(run.id, token, 3, "charge")
    assert answered == Verdict(superseded=False, cancel=False, suspend=False, at_once=False)
    database.query("UPDATE perdure.runs SET suspend = true")
    assert store.heartbeat(run.id, token, 3, "charge").suspend
    database.query("UPDATE perdure.runs SET suspend = false")
    run.claim()
    assert store.heartbeat(run.id, token, 3, "charge").superseded


def test_a_checkpoint_of_a_kind_that_only_newer_clients_know_is_not_taken_for_another(
    store: AttemptStore, run: Run, database: Database
) -> None:
    run.attempt()
    database.query(
        "INSERT INTO perdure.steps (run_id, step_key, kind, ordinal, name, attempt, tries, clock, result, started,"
        f" finished) VALUES ('{run.id}', 'a', 'z', 1, 'a', 1, 1, 0, '1', now(), now())"
    )
    database.query("UPDATE perdure.runs SET state = 'pending'")
    begun = store.begin(run.id, run.claim(), process())
    with pytest.raises(SchemaMismatch, match=r"of kind 'z', .*upgrade"):
        store.load([(run.id, begun.token)])


@pytest.mark.parametrize(
    "end",
    [Succeeded('"done"'), Failed(ERROR), Cancelled(), Cancelled(Failed(ERROR))],
    ids=["succeeded", "failed", "cancelled", "cleanup failed"],
)
def test_the_end_of_a_run_is_recorded_once(store: AttemptStore, run: Run, database: Database, end: RunEnd) -> None:
    token = run.begin().claimed.token
    assert store.finish(run.id, Token(uuid4()), end) is Answer.SUPERSEDED
    assert store.finish(run.id, token, end) is Answer.DONE
    assert database.query("SELECT state, result::text, error::text FROM perdure.runs") == [columns(end)]


def test_a_release_says_how_the_attempt_ended(store: AttemptStore, run: Run, database: Database) -> None:
    token = run.begin().claimed.token
    answer = store.release_run(run.id, token, AttemptEnd.CRASHED, signal=9, detail="killed\0 by SIGKILL")
    assert answer is Answer.DONE
    assert database.query("SELECT ending, code, signal, detail FROM perdure.attempts") == [
        ("crashed", None, 9, "killed� by SIGKILL")
    ]
    assert store.release_run(run.id, token, AttemptEnd.CRASHED) is Answer.DONE_BEFORE


def test_an_attempt_that_never_began_is_ended_by_its_claim(store: AttemptStore, run: Run, database: Database) -> None:
    claim = run.claim()
    assert store.end_attempt(run.id, Claim(uuid4()), AttemptEnd.NEVER_BEGUN) is Answer.SUPERSEDED
    assert store.end_attempt(run.id, claim, AttemptEnd.NEVER_BEGUN, detail="no process") is Answer.DONE
    assert database.query("SELECT ending, detail FROM perdure.attempts") == [("never begun", "no process")]


def test_a_declared_cleanup_is_told_to_the_next_attempt(store: AttemptStore, run: Run) -> None:
    token = run.begin().claimed.token
    assert store.declare_cleanup(run.id, token, 2.5) is Answer.DONE
    assert store.begin(run.id, run.claim(), process()).declared_cleanup == 2.5
    assert store.declare_cleanup(run.id, token, 2.5) is Answer.SUPERSEDED


def test_a_connection_may_be_handed_on(store: AttemptStore, run: Run, database: Database) -> None:
    token = run.begin().claimed.token
    assert store.release() is None
    store.heartbeat(run.id, token, 0, None)
    wire = store.release()
    assert wire is not None
    store.adopt(wire)
    store.heartbeat(run.id, token, 0, None)
    assert store.release() is wire
    wire.close()


def test_a_store_that_is_away_is_waited_for_no_longer_than_there_is_patience(run: Run) -> None:
    nowhere = AttemptStore(Opener("postgresql://127.0.0.1:1/nowhere", patience=0.1))
    with pytest.raises(StoreUnavailable):
        nowhere.begin(run.id, Claim(uuid4()), process())
