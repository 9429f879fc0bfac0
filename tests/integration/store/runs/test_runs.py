"""Runs as clients start, find, list, show, cancel and delete them: each call by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.errors import SchemaMismatch, StoreError, StoreUnavailable
from perdure.store.runs.model import MANIFEST_OWNER, RunFilter, RunState, StepOutcome
from perdure.store.runs.runs import NewRun, RunStore
from tests.harness.databases import Database, Databases

from ..rows import Session

OWNER = "queue:default"


@pytest.fixture
def runs(database: Database) -> Iterator[RunStore]:
    with RunStore(database.url, patience=0.2) as made:
        yield made


@pytest.fixture
def rows(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


def new(id: str, **more: object) -> NewRun:
    return replace(NewRun(uuid4(), OWNER, id, "bank:transfer", '{"n":1}'), **more)  # type: ignore[arg-type]


def test_the_first_of_a_name_is_inserted_and_others_are_told_of_it(runs: RunStore) -> None:
    first = new("a", origin="/flows.py")
    assert runs.insert(first).run_id == first.run_id
    again = runs.insert(new("a", entrypoint="bank:other", input="{}"))
    assert (again.run_id, again.entrypoint, again.input, again.origin) == (
        first.run_id, "bank:transfer", '{"n":1}', "/flows.py",
    )  # fmt: skip
    other = new("a", owner="queue:other")
    assert runs.insert(other).run_id == other.run_id


def test_a_call_whose_answer_was_lost_may_be_repeated(runs: RunStore) -> None:
    run = new("a")
    assert runs.insert(run) == runs.insert(run)


def test_what_is_stored_is_what_was_given(runs: RunStore, rows: Session) -> None:
    run = new("a", backoff_limit=2, deadline=30.0, cleanup=5.0, suspend=True)
    runs.insert(run)
    row = rows.run(run.run_id)
    assert (row["backoff_limit"], row["suspend"], row["cleanup_seconds"]) == (2, True, 5.0)


def test_a_run_is_found_by_its_id_in_the_queue_then_by_its_manifest_then_by_its_uuid(runs: RunStore) -> None:
    mine, manifests = new("a"), new("m", owner=MANIFEST_OWNER, namespace="default")
    elsewhere = new("m", owner=MANIFEST_OWNER, namespace="other")
    impostor = new(str(mine.run_id))
    for one in (mine, manifests, elsewhere, impostor):
        runs.insert(one)

    def found(reference: str | UUID, queue: str = "default") -> UUID | None:
        run = runs.find(reference, queue)
        return None if run is None else run.run_id

    assert found("a") == mine.run_id
    assert found("a", "other") is None
    assert found("m") == manifests.run_id
    assert found("other/m") == elsewhere.run_id
    assert found(str(mine.run_id)) == impostor.run_id
    assert found(mine.run_id) == mine.run_id
    for nothing in ("b", "a\0", "a\ud800", uuid4()):
        assert found(nothing) is None


def test_a_list_is_newest_first_filtered_and_paged(runs: RunStore) -> None:
    for n in range(5):
        runs.insert(new(f"run-{n}", entrypoint="bank:a" if n % 2 else "bank:b"))
    listed = runs.list(RunFilter(limit=2))
    assert [run.id for run in listed] == ["run-4", "run-3"]
    assert [run.id for run in runs.list(RunFilter(limit=2, after=listed[-1]))] == ["run-2", "run-1"]
    assert [run.id for run in runs.list(RunFilter(entrypoint="bank:a"))] == ["run-3", "run-1"]
    assert [run.id for run in runs.list(RunFilter(id_prefix="run-2"))] == ["run-2"]
    assert runs.list(RunFilter(states=[RunState.FAILED])) == []
    assert runs.list(RunFilter(owner="queue:other")) == []
    assert runs.list(RunFilter(id_prefix="%")) == []
    assert runs.list(RunFilter(id_prefix="a\0")) == []


def test_a_detail_has_attempts_and_steps_and_an_outcome_has_neither(runs: RunStore, rows: Session) -> None:
    run = new("a")
    runs.insert(run)
    attempt = rows.begun(run.run_id)
    rows.checkpoint(attempt, result=3)
    rows.finish(attempt, result="done")
    detail, outcome = runs.detail(run.run_id), runs.outcome(run.run_id)
    assert detail is not None
    assert outcome is not None
    assert [one.ending for one in detail.attempts] == [AttemptEnd.COMPLETED]
    assert [(step.key, step.outcome, step.result) for step in detail.steps] == [("charge", StepOutcome.RESULT, "3")]
    assert (detail.run.state, detail.input, detail.result, detail.error) == (
        RunState.SUCCEEDED, '{"n":1}', '"done"', None,
    )  # fmt: skip
    assert outcome == replace(detail, attempts=[], steps=[])
    assert runs.detail(uuid4()) is runs.outcome(uuid4()) is None


def test_a_cancellation_ends_what_nobody_holds_and_asks_the_rest(runs: RunStore, rows: Session) -> None:
    waiting, held = new("waiting"), new("held")
    for one in (waiting, held):
        runs.insert(one)
    rows.begun(held.run_id)
    assert runs.cancel(waiting.run_id)
    assert runs.cancel(held.run_id)
    states = [(run.state, run.cancel) for run in runs.list(RunFilter())]
    assert states == [(RunState.RUNNING, True), (RunState.CANCELLED, True)]
    assert not runs.cancel(waiting.run_id)
    assert not runs.cancel(uuid4())


def test_only_what_has_ended_is_deleted_unless_it_is_forced(runs: RunStore, rows: Session) -> None:
    run = new("a")
    runs.insert(run)
    attempt = rows.begun(run.run_id)
    rows.checkpoint(attempt)
    assert not runs.delete(run.run_id)
    assert runs.delete(run.run_id, force=True)
    assert not runs.delete(run.run_id, force=True)
    for table in ("runs", "attempts", "steps"):
        assert rows.execute(f"SELECT count(*) FROM perdure.{table}") == [(0,)]


def test_a_broken_connection_is_made_anew_within_the_call(runs: RunStore, database: Database) -> None:
    assert runs.list(RunFilter()) == []
    database.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'perdure client'")
    assert runs.list(RunFilter()) == []


def test_errors_say_what_was_being_done(runs: RunStore, databases: Databases) -> None:
    nowhere = RunStore("postgresql://127.0.0.1:1/nowhere", patience=0.1)
    with pytest.raises(StoreUnavailable, match="list runs: "):
        nowhere.list(RunFilter())
    with RunStore(databases.empty().url) as empty, pytest.raises(SchemaMismatch, match="perdure migrate"):
        empty.find("a")
    with pytest.raises(StoreError, match="start the run: "):
        runs.insert(new("a", input="no JSON"))


def test_the_store_is_seen_to_before_each_connection(database: Database) -> None:
    seen: list[int] = []
    with RunStore(database.url, ensure=lambda: seen.append(1)) as runs:
        assert seen == []
        runs.list(RunFilter())
        runs.list(RunFilter())
        assert seen == [1]
        runs.close()
        runs.list(RunFilter())
        assert seen == [1, 1]
