"""Where one run stands, and claiming it once for the attempt after the observed one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import UUID, uuid4

import pytest

from perdure.names import Claim
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.runs.claim_one import StandingStore
from perdure.store.runs.model import RunState
from tests.harness.databases import Database

from ..rows import Attempt, Session

CLAIMER = ProcessIdentity(UUID(int=0), "fe80::1", 17, 4711)


@pytest.fixture
def store(database: Database) -> Iterator[StandingStore]:
    with StandingStore(database.url) as made:
        yield made


@pytest.fixture
def rows(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


def test_a_run_that_is_gone_stands_nowhere(store: StandingStore) -> None:
    assert store.standing(uuid4()) is None


def test_from_pending_to_claimed_to_begun_to_ended(store: StandingStore, rows: Session) -> None:
    run = rows.insert()
    pending = store.standing(run)
    assert pending is not None
    assert (pending.state, pending.attempt, pending.claim, pending.begun) == (RunState.PENDING, 0, None, False)

    claim = store.claim(run, 0, CLAIMER)
    claimed = store.standing(run)
    assert claimed is not None
    assert (claimed.attempt, claimed.claim, claimed.begun, claimed.process) == (1, claim, False, None)
    assert claimed.claimer == CLAIMER  # whose host's name has colons, too

    assert claim is not None
    rows.begin(Attempt(run, claim))
    begun = store.standing(run)
    assert begun is not None
    assert begun.begun
    assert begun.process is not None
    assert (begun.process.host, begun.process.pid, begun.process.pid_started) == ("host", 42, 4242)
    assert str(claim) not in repr(begun)


def test_a_run_is_claimed_once(store: StandingStore, rows: Session) -> None:
    run = rows.insert()
    assert store.claim(run, 0, CLAIMER) is not None
    assert store.claim(run, 0, CLAIMER) is None
    assert store.claim(uuid4(), 0, CLAIMER) is None


def test_a_crash_is_waited_out(store: StandingStore, rows: Session) -> None:
    run = rows.insert()
    for _ in range(2):  # after the first it may go on at once
        rows.release_run(rows.begun(run), "crashed")
    standing = store.standing(run)
    assert standing is not None
    assert (standing.claim, standing.crashes, standing.attempt) == (None, 2, 2)
    assert 0 < standing.due_in <= standing.delay


def test_recorded_steps_come_in_order_from_where_one_asks(store: StandingStore, rows: Session) -> None:
    run = rows.insert()
    attempt = rows.begun(run)
    for n in range(3):
        rows.checkpoint(attempt, f"step#{n}", n)
    assert [step.ordinal for step in store.recorded_steps(run)] == [0, 1, 2]
    assert [step.key for step in store.recorded_steps(run, 1)] == ["step#2"]
    assert store.recorded_steps(uuid4()) == []


def test_a_claimer_may_be_noted_later(store: StandingStore, rows: Session) -> None:
    run = rows.insert()
    attempt = rows.claim(run)
    assert attempt is not None
    unknown = store.standing(run)
    assert unknown is not None
    assert unknown.claimer is None
    store.note_claimer(run, Claim(attempt.claim), CLAIMER)
    known = store.standing(run)
    assert known is not None
    assert known.claimer == CLAIMER
