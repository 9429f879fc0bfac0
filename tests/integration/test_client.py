"""The client: starting, waiting for, finding, cancelling and deleting runs. A session of SQL plays the worker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from perdure import workflow
from perdure.client import Client, RunState
from perdure.errors import (
    BackoffLimitExceeded,
    DefinitionError,
    InputError,
    ResultTimeout,
    RunConflict,
    RunError,
    RunFailed,
    RunNotFound,
    RunWasCancelled,
    SchemaMismatch,
    StepError,
    StoreUnavailable,
    UsageError,
)
from perdure.serialization.failures.failure import Failure
from perdure.store.runs.model import StepOutcome
from perdure.store.schema.checked_connection import open_checked
from tests.harness.databases import Database, Databases
from tests.harness.eventually import eventually
from tests.harness.postgres import Server
from tests.integration.store.rows import Attempt, Session


@dataclass
class Receipt:
    source: str
    amount: int


@workflow
def transfer(source: str, amount: int, tags: set[str] = frozenset()) -> Receipt:  # type: ignore[assignment]
    return Receipt(source, amount)


@workflow
def refund(source: str, amount: int) -> None:
    return None


@pytest.fixture
def client(database: Database) -> Iterator[Client]:
    with Client(database.url) as made:
        yield made


@pytest.fixture
def store(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


def finish(store: Session, run: UUID, state: str, result: str | None = None, error: str | None = None) -> Attempt:
    attempt = store.begun(run)
    [(answer,)] = store.execute(
        "SELECT perdure.finish(%s, %s, %s, %s, %s)", attempt.run, attempt.token, state, result, error
    )
    assert answer == 0
    return attempt


# --- start


def test_a_started_run_is_pending_in_its_queue(client: Client) -> None:
    run = client.start(transfer, "a", 100, id="transfer-17", backoff_limit=2, deadline=60)
    info = client.get("transfer-17")
    assert (info.id, info.run_id, info.queue, info.state) == ("transfer-17", run.run_id, "default", RunState.PENDING)
    assert (info.entrypoint, info.attempts, info.steps) == (f"{__name__}:transfer", 0, 0)
    assert client.show(run.run_id).input == '{"source":"a","amount":100}'
    assert run.status() == info


def test_without_an_id_each_start_is_another_run(client: Client) -> None:
    one, two = client.start(transfer, "a", 1), client.start(transfer, "a", 1)
    assert one.run_id != two.run_id
    assert UUID(one.id) != one.run_id, "the user's id and the store's are two"


def test_the_same_id_and_input_is_the_same_run(client: Client) -> None:
    first = client.start(transfer, "a", 100, {"x", "y", "z"}, id="one")
    again = client.start(transfer, id="one", input={"amount": 100, "source": "a", "tags": ["z", "y", "x"]})
    by_name = client.start(
        f"{__name__}:transfer", id="one", input={"tags": ["y", "x", "z"], "amount": 100, "source": "a"}
    )
    assert first.run_id == again.run_id == by_name.run_id
    assert client.start(transfer, "a", 100, id="one", queue="other").run_id != first.run_id


def test_the_same_id_with_another_input_is_a_conflict_that_shows_it(client: Client) -> None:
    client.start(transfer, "a", 100, id="one")
    with pytest.raises(
        RunConflict, match=r"run 'one' of queue 'default' exists already.*amount is 100 there, 120 here"
    ):
        client.start(transfer, "a", 120, id="one")
    with pytest.raises(RunConflict, match="tags is missing there"):
        client.start(transfer, "a", 100, {"x"}, id="one")
    with pytest.raises(RunConflict, match=r"of workflow .*:transfer, not .*:refund"):
        client.start(refund, "a", 100, id="one")


def test_a_start_in_many_threads_at_once_makes_one_run(database: Database) -> None:
    gate = threading.Barrier(8)

    def start(_: int) -> UUID:
        with Client(database.url) as client:
            gate.wait(10)
            return client.start(transfer, "a", 1, id="one").run_id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(8)))) == 1


def test_a_workflow_that_is_not_imported_here_starts_by_its_name(client: Client) -> None:
    run = client.start("elsewhere:flow", input={"b": [1.5, None], "a": "x"})
    assert client.show(run.id).input == '{"b":[1.5,null],"a":"x"}'
    assert client.start("elsewhere:flow", id=run.id, input={"a": "x", "b": [1.5, None]}).run_id == run.run_id
    with pytest.raises(UsageError, match="names of its arguments are not known"):
        client.start("elsewhere:flow", 1)


@pytest.mark.parametrize(
    ("error", "match", "arguments"),
    [
        (InputError, "amount", {"input": {"source": "a"}}),
        (InputError, "amuont", {"input": {"source": "a", "amuont": 3}}),
        (UsageError, "not both", {"args": ("a",), "input": {"amount": 1}}),
        (UsageError, "backoff_limit", {"args": ("a", 1), "backoff_limit": -1}),
        (UsageError, "deadline", {"args": ("a", 1), "deadline": 0}),
        (DefinitionError, "id of a run", {"args": ("a", 1), "id": ""}),
        (DefinitionError, "id of a run", {"args": ("a", 1), "id": "nul\0"}),
        (DefinitionError, "name of a queue", {"args": ("a", 1), "queue": ""}),
    ],
)
def test_a_bad_start_is_refused_and_starts_nothing(client: Client, error: type, match: str, arguments: dict) -> None:
    with pytest.raises(error, match=match):
        client.start(transfer, *arguments.pop("args", ()), **arguments)
    assert client.list(every_queue=True) == []


@pytest.mark.parametrize("what", [len, "bank", "bank:", ":transfer", None])
def test_what_is_no_workflow_cannot_be_started(client: Client, what: object) -> None:
    with pytest.raises(UsageError, match="workflow"):
        client.start(what)  # type: ignore[arg-type]


# --- result


def test_the_result_comes_back_as_the_type_that_the_workflow_returns(client: Client, store: Session) -> None:
    run = client.start(transfer, "a", 100)
    finish(store, run.run_id, "succeeded", '{"source":"a","amount":100}')
    assert run.result(10) == Receipt("a", 100)
    assert asyncio.run(run.wait_result(10)) == Receipt("a", 100)
    plain = client.start("elsewhere:flow")
    finish(store, plain.run_id, "succeeded", '{"a":[1]}')
    assert client.handle(plain.id).result(10) == {"a": [1]}


def test_a_result_is_heard_of_at_once(client: Client, store: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.store.runs.wait._POLLS", (60.0, 60.0))
    run = client.start(refund, "a", 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run.result, 20)
        eventually(lambda: store.execute("SELECT 1 FROM pg_stat_activity WHERE query LIKE '-- How these runs stand%%'"))
        finish(store, run.run_id, "succeeded", "null")
        assert waiting.result(5) is None


def test_a_result_that_was_not_notified_is_found_by_asking(
    client: Client, store: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perdure.store.runs.wait._POLLS", (0.1, 0.1))
    run = client.start(refund, "a", 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run.result, 20)
        eventually(lambda: store.execute("SELECT 1 FROM pg_stat_activity WHERE query LIKE '-- How these runs stand%%'"))
        store.execute("UPDATE perdure.runs SET state = 'succeeded', result = 'null'")
        assert waiting.result(5) is None


def test_a_failure_is_raised_from_the_workflows_own_exception(client: Client, store: Session) -> None:
    run = client.start(transfer, "a", 1)
    finish(store, run.run_id, "failed", None, Failure.of(LookupError("no account", 42)).to_json())
    with pytest.raises(RunFailed, match=r"failed: builtins:LookupError: \('no account', 42\)") as caught:
        run.result(10)
    assert isinstance(caught.value.__cause__, LookupError)
    assert caught.value.__cause__.args == ("no account", 42)
    info = run.status()
    assert (info.state, info.error_type) == (RunState.FAILED, "builtins:LookupError")


def test_an_exception_that_is_not_known_here_is_a_step_error(client: Client, store: Session) -> None:
    run = client.start(transfer, "a", 1)
    finish(store, run.run_id, "failed", None, '{"type": "nowhere:Gone", "message": "away"}')
    with pytest.raises(RunFailed, match="nowhere:Gone: away") as caught:
        run.result(10)
    assert isinstance(caught.value.__cause__, StepError)


def test_a_run_past_its_backoff_limit_failed_by_it(client: Client, store: Session) -> None:
    run = client.start(transfer, "a", 1, backoff_limit=0)
    assert store.release_run(store.begun(run.run_id), "crashed", "killed by signal 11") == 0
    with pytest.raises(RunFailed, match="killed by signal 11") as caught:
        run.result(10)
    assert isinstance(caught.value.__cause__, BackoffLimitExceeded)


def test_a_result_that_does_not_come_in_time_is_late_and_can_be_asked_for_again(client: Client, store: Session) -> None:
    run = client.start(transfer, "a", 1, id="slow")
    with pytest.raises(ResultTimeout, match=r"run 'slow' has not ended within 0.1 s; it goes on"):
        run.result(0.1)
    with pytest.raises(ResultTimeout):
        asyncio.run(run.wait_result(0.1))
    with pytest.raises(ResultTimeout):
        run.result(0)
    finish(store, run.run_id, "succeeded", '{"source":"a","amount":1}')
    assert run.result(10) == Receipt("a", 1)


def test_a_run_that_is_deleted_while_it_is_waited_for_is_not_found(client: Client) -> None:
    run = client.start(transfer, "a", 1)
    client.delete(run.id, force=True)
    with pytest.raises(RunNotFound):
        run.result(10)


def test_a_hundred_results_are_waited_for_on_one_connection(client: Client, store: Session) -> None:
    runs = [client.start(refund, "a", n) for n in range(100)]

    async def all_results() -> list[object]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run.wait_result(30)) for run in runs]
            await asyncio.to_thread(
                eventually,
                lambda: store.execute("SELECT 1 FROM pg_stat_activity WHERE query LIKE '-- How these runs stand%%'"),
            )
            connections = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'perdure client'"
            assert store.execute(connections) == [(2,)], "the client's own, and the one that listens"
            for run in runs:
                await asyncio.to_thread(finish, store, run.run_id, "succeeded", "null")
        return [task.result() for task in tasks]

    assert asyncio.run(all_results()) == [None] * 100


def test_a_cancelled_wait_leaves_other_waits_alone(client: Client, store: Session) -> None:
    run = client.start(refund, "a", 1)

    async def scenario() -> object:
        stays = asyncio.create_task(run.wait_result(30))
        leaves = asyncio.create_task(run.wait_result(30))
        await asyncio.sleep(0)
        leaves.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaves
        await asyncio.to_thread(finish, store, run.run_id, "succeeded", "null")
        return await stays

    assert asyncio.run(scenario()) is None


def test_closing_the_client_ends_its_waits_its_thread_and_its_connections(database: Database, store: Session) -> None:
    client = Client(database.url)
    run = client.start(refund, "a", 1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(run.result)
        eventually(lambda: store.execute("SELECT 1 FROM pg_stat_activity WHERE query LIKE '-- How these runs stand%%'"))
        client.close()
        with pytest.raises(UsageError, match="closed"):
            waiting.result(10)
    assert not [thread for thread in threading.enumerate() if thread.name == "perdure-endings"]
    eventually(lambda: not store.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'perdure client'"))


def test_thread_and_connection_go_when_nothing_is_waited_for(
    client: Client, store: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perdure.store.runs.wait._LINGER", 0.1)
    run = client.start(refund, "a", 1)
    finish(store, run.run_id, "succeeded", "null")
    for _ in range(2):
        assert run.result(10) is None
        eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "perdure-endings"])


# --- list, get


def test_listing_filters_and_pages_newest_first(client: Client, store: Session) -> None:
    runs = [client.start(transfer, "a", n, id=f"transfer-{n}") for n in range(5)]
    client.start(refund, "a", 1, id="refund%1")
    client.start(refund, "a", 1, id="far", queue="other")
    finish(store, runs[1].run_id, "succeeded", "null")
    finish(store, runs[3].run_id, "failed", None, '{"type": "builtins:ValueError", "message": "no"}')

    def ids(**filters) -> list[str]:
        return [run.id for run in client.list(**filters)]

    assert ids() == ["refund%1", *(f"transfer-{n}" for n in (4, 3, 2, 1, 0))]
    assert ids(states=["succeeded", RunState.FAILED]) == ["transfer-3", "transfer-1"]
    assert ids(states=[]) == []
    assert ids(id_prefix="refund%") == ["refund%1"]
    assert ids(id_prefix="%") == []
    assert ids(entrypoint=f"{__name__}:refund") == ["refund%1"]
    assert len(ids(every_queue=True)) == 7
    created = client.get("transfer-2").created
    assert ids(created_since=created, entrypoint=f"{__name__}:transfer") == ["transfer-4", "transfer-3", "transfer-2"]
    assert ids(created_before=created) == ["transfer-1", "transfer-0"]
    assert ids(created_since=datetime.now(UTC) + timedelta(hours=1)) == []
    pages, page = [], client.list(limit=4)
    while page:
        pages.append([run.id for run in page])
        page = client.list(limit=4, after=page[-1])
    assert pages == [["refund%1", "transfer-4", "transfer-3", "transfer-2"], ["transfer-1", "transfer-0"]]
    with pytest.raises(UsageError, match="no state of a run"):
        client.list(states=["done"])


def test_a_run_is_found_by_its_id_in_the_queue_before_any_uuid(client: Client) -> None:
    other = client.start(transfer, "a", 1, id="far", queue="other")
    assert client.get(other.run_id).id == "far"
    assert client.get(str(other.run_id)).queue == "other"
    named_so = client.start(transfer, "a", 2, id=str(other.run_id))
    assert client.get(str(other.run_id)).run_id == named_so.run_id
    for missing in ("far", "", "x" * 10_000, uuid4()):
        with pytest.raises(RunNotFound, match="queue 'default' has no run"):
            client.get(missing)


def test_show_has_attempts_and_steps_with_their_outcomes(client: Client, store: Session) -> None:
    run = client.start(transfer, "a", 1)
    first = store.begun(run.run_id)
    store.checkpoint(first, "charge", 1, {"paid": 1})
    store.release_run(first, "crashed", "killed by signal 9")
    second = store.begun(run.run_id)
    store.execute("SELECT perdure.checkpoint(%s, %s, 'late', 2, 'late', 3, 0, 0, NULL, '{}')", run.run_id, second.token)
    store.execute("SELECT perdure.checkpoint(%s, %s, 'cut', 3, 'cut', 1, 0, 0, NULL, NULL)", run.run_id, second.token)
    store.finish(second, "succeeded", 5)
    shown = client.show(run.id)
    assert [(step.key, step.attempt, step.tries, step.outcome) for step in shown.steps] == [
        ("charge", 1, 1, StepOutcome.RESULT),
        ("late", 2, 3, StepOutcome.ERROR),
        ("cut", 2, 1, StepOutcome.CANCELLED),
    ]
    assert shown.steps[0].duration == timedelta(milliseconds=1) or shown.steps[0].duration > timedelta(milliseconds=0.9)
    assert [(one.attempt, one.ending, one.detail) for one in shown.attempts] == [
        (1, "crashed", "killed by signal 9"),
        (2, "completed", None),
    ]
    assert (shown.result, shown.error, shown.run.steps, shown.run.attempts) == ("5", None, 3, 2)


# --- cancel, delete


def test_cancelling_a_run_that_nobody_holds_ends_it(client: Client) -> None:
    run = client.start(transfer, "a", 1)
    assert run.cancel() is True
    with pytest.raises(RunWasCancelled):
        run.result(10)
    assert run.cancel() is False
    with pytest.raises(RunNotFound):
        client.cancel("nobody")


def test_cancelling_a_held_run_asks_for_it(client: Client, store: Session) -> None:
    run = client.start(transfer, "a", 1)
    attempt = store.begun(run.run_id)
    assert client.cancel(run.id) is True
    info = run.status()
    assert (info.state, info.cancel) == (RunState.RUNNING, True)
    assert store.heartbeat(attempt)[1] is True


def test_only_an_ended_run_is_deleted_with_all_that_is_stored_of_it(client: Client, store: Session) -> None:
    run = client.start(transfer, "a", 1, id="one")
    attempt = store.begun(run.run_id)
    store.checkpoint(attempt)
    with pytest.raises(RunError, match=r"run 'one' has not ended \(running\)"):
        client.delete("one")
    store.finish(attempt)
    client.delete("one")
    with pytest.raises(RunNotFound):
        client.delete("one")
    for table in ("runs", "steps", "attempts", "processes"):
        assert store.execute(f"SELECT * FROM perdure.{table}") == []


def test_a_forced_delete_leaves_nothing_of_a_checkpoint_in_flight(
    client: Client, store: Session, database: Database
) -> None:
    run = client.start(transfer, "a", 1)
    attempt = store.begun(run.run_id)
    with ThreadPoolExecutor(1) as pool, closing(database.connect()) as watcher:
        with store.connection.transaction():
            assert store.checkpoint(attempt) == 0
            deleted = pool.submit(client.delete, run.id, force=True)
            waiting = (
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'perdure client' AND wait_event_type = 'Lock'"
            )
            eventually(lambda: watcher.execute(waiting).fetchall())
        deleted.result(10)
    assert store.checkpoint(attempt, "next", 2) == 4
    for table in ("runs", "steps", "attempts", "processes"):
        assert store.execute(f"SELECT * FROM perdure.{table}") == []


# --- a store that is away, or another


def test_without_a_url_the_error_says_where_one_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERDURE_DATABASE_URL", raising=False)
    with pytest.raises(UsageError, match=r"PERDURE_DATABASE_URL.*perdure run"):
        Client()


def test_the_environments_url_is_the_default(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_DATABASE_URL", database.url)
    with Client() as client:
        assert client.list() == []


def test_a_database_without_our_schema_is_to_be_migrated(databases: Databases) -> None:
    database = databases.empty()
    with Client(database.url) as client:
        with pytest.raises(SchemaMismatch, match="perdure migrate"):
            client.start(transfer, "a", 1)
        with pytest.raises(SchemaMismatch, match="perdure migrate"):
            client._endings.watch(uuid4(), "queue:default").result(10)


def test_a_client_too_old_for_the_schema_is_told_so(client: Client, store: Session) -> None:
    store.execute("UPDATE perdure.meta SET oldest_client = 99")
    with pytest.raises(SchemaMismatch, match="client is too old"):
        client.list()


def test_a_store_that_is_away_is_unavailable_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    with Client("postgresql://postgres@/none?host=/nonexistent") as client:
        client._store._patience = 0.2
        with pytest.raises(StoreUnavailable, match="start the run: the store does not answer"):
            client.start(transfer, "a", 1)


def test_a_broken_connection_is_made_anew(client: Client, database: Database) -> None:
    client.start(transfer, "a", 1, id="one")
    database.server.terminate(database.name)
    assert client.get("one").id == "one"
    database.server.terminate(database.name)
    assert client.start(transfer, "a", 2, id="two").id == "two"


def test_a_start_whose_answer_is_lost_makes_one_run(
    client: Client, store: Session, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[object] = []

    class Losing(psycopg.Cursor):
        def execute(self, query, *arguments, **options):
            super().execute(query, *arguments, **options)
            if "INSERT INTO perdure.runs" in query and not lost:
                lost.append(query)
                raise psycopg.OperationalError("the answer was lost")
            return self

    def open_losing(url: str):
        connection = opened(url)
        connection.cursor_factory = Losing
        return connection

    opened = open_checked
    monkeypatch.setattr("perdure.store.runs.runs.open_checked", open_losing)
    run = client.start(transfer, "a", 1, id="one")
    assert lost
    assert store.execute("SELECT id FROM perdure.runs") == [(run.run_id,)]


def test_waiting_survives_a_store_that_is_away(own_server: Server, own_database: Database) -> None:
    with Client(own_database.url) as client:
        run = client.start(refund, "a", 1)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(run.result, 60)
            asked = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '-- How these runs stand%%'"
            eventually(lambda: own_database.query(asked))
            own_server.stop()
            away = time.monotonic() + 1
            eventually(lambda: time.monotonic() > away)
            own_server.start()
            with closing(own_database.connect()) as connection:
                finish(Session(connection), run.run_id, "succeeded", "null")
            assert waiting.result(15) is None
