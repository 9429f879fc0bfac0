"""A database step's writes and its checkpoint stand together or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from typing import Any

import psycopg
import pytest

from perdure import Retry, ThreadPoolExecutor, step, step_context, to_thread, workflow
from perdure.attempt_results import Failed, Succeeded
from perdure.errors import StepTimeout, TransactionError, UsageError, ValueNotStorable
from perdure.testing import DurableRun
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.pgbouncer import PgBouncer
from tests.integration.engine.attempts import Run


@pytest.fixture
def ledger(database: Database) -> Database:
    """A database in which steps write to `entries`."""
    database.query("CREATE TABLE entries (id serial PRIMARY KEY, amount integer NOT NULL)")
    return database


def amounts(database: Database) -> list[int]:
    return [amount for (amount,) in database.query("SELECT amount FROM entries ORDER BY id")]


def keys(database: Database, run: Run) -> list[str]:
    rows = database.query("SELECT step_key FROM perdure.steps WHERE run_id = %s ORDER BY ordinal", run.id)
    return [key for (key,) in rows]


def insert(amount: int) -> None:
    step_context().connection.execute("INSERT INTO entries (amount) VALUES (%s)", [amount])


@step(database=True)
def book(amount: int) -> int:
    insert(amount)
    return amount * 2


@step(database=True)
async def book_async(amount: int) -> int:
    await step_context().connection.execute("INSERT INTO entries (amount) VALUES (%s)", [amount])
    return amount * 2


@workflow
def books(count: int) -> list[int]:
    return [book(n) for n in range(count)]


@workflow
async def books_async(count: int) -> list[int]:
    return [await book_async(n) for n in range(count)]


@workflow
async def books_gathered(count: int) -> list[int]:
    return list(await asyncio.gather(*(book_async(n) for n in range(count))))


@workflow
def books_in_threads(count: int) -> list[int]:
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(book, range(count)))


@workflow
async def books_mixed(count: int) -> list[int]:
    threads = [to_thread(book, n) for n in range(0, count, 2)]
    tasks = [book_async(n) for n in range(1, count, 2)]
    return list(await asyncio.gather(*threads, *tasks))


ALL: list[Any] = [books, books_async, books_gathered, books_in_threads, books_mixed]


@pytest.mark.parametrize("books", ALL)
def test_writes_and_checkpoints_stand_together(ledger: Database, books: Any) -> None:
    run = Run(ledger.url, books, 6)
    ending = run.attempt()
    assert isinstance(ending, Succeeded), ending
    assert sorted(amounts(ledger)) == list(range(6))
    assert len(keys(ledger, run)) == 6
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'perdure%%'"
    eventually(lambda: ledger.query(ours) == [(0,)])  # a backend is listed until it has seen its client leave


def test_a_lone_workflow_keeps_one_connection(ledger: Database) -> None:
    backends: list[int] = []

    @step(database=True)
    def backend() -> int:
        return int(step_context().connection.info.backend_pid)

    @workflow
    def several() -> None:
        backends.extend(backend() for _ in range(3))

    assert isinstance(Run(ledger.url, several).attempt(), Succeeded)
    assert len(set(backends)) == 1


def test_what_the_body_raises_undoes_its_writes_and_is_retried(ledger: Database) -> None:
    @step(database=True, retry=Retry(tries=3, delay=0))
    def third_time_lucky() -> int:
        insert(step_context().tries)
        if step_context().tries < 3:
            raise ValueError("not yet")
        return step_context().tries

    @workflow
    def lucky() -> int:
        return third_time_lucky()

    run = Run(ledger.url, lucky)
    assert run.attempt() == Succeeded("3")
    assert amounts(ledger) == [3]
    assert ledger.query("SELECT tries FROM perdure.steps WHERE run_id = %s", run.id) == [(3,)]


def test_the_last_error_is_the_outcome_and_nothing_is_written(ledger: Database) -> None:
    @step(database=True)
    def doomed() -> None:
        insert(1)
        raise ValueError("doomed")

    @step(database=True)
    async def doomed_async() -> None:
        await book_async.__wrapped__(1)  # type: ignore[attr-defined]
        raise ValueError("doomed")

    @workflow
    def handled() -> str:
        try:
            doomed()
        except ValueError as error:
            return str(error)
        return "none"

    @workflow
    async def handled_async() -> str:
        try:
            await doomed_async()
        except ValueError as error:
            return str(error)
        return "none"

    for one in (handled, handled_async):
        run = Run(ledger.url, one)
        assert run.attempt() == Succeeded('"doomed"')
        assert amounts(ledger) == []
        assert ledger.query("SELECT error IS NOT NULL FROM perdure.steps WHERE run_id = %s", run.id) == [(True,)]


def raised_in(run: Run) -> BaseException | None:
    """What an attempt of a run ends with; None for a result."""
    ending = run.attempt()
    assert isinstance(ending, Succeeded | Failed)
    return ending.raised if isinstance(ending, Failed) else None


def raised_by(ledger: Database, body: Any, **options: Any) -> BaseException | None:
    """What a workflow of one database step ends with."""
    marked = step(database=True, name="body", **options)(body)
    if inspect.iscoroutinefunction(body):

        @workflow
        async def one_async() -> None:
            await marked()

        return raised_in(Run(ledger.url, one_async))

    @workflow
    def one() -> None:
        marked()

    return raised_in(Run(ledger.url, one))


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "END", "ABORT", "COMMIT; BEGIN", "PREPARE TRANSACTION 'x'"])
@pytest.mark.parametrize("go_on", [False, True])
def test_ending_the_transaction_in_sql_is_an_error(ledger: Database, end: str, go_on: bool) -> None:
    seen = []

    def body() -> None:
        connection = step_context().connection
        try:
            connection.execute(end)
        except psycopg.NotSupportedError:
            raise  # prepared transactions are off in this server
        except Exception as error:
            seen.append(error)
            if not go_on:
                raise
        try:
            insert(1)
        except Exception:
            if not go_on:
                raise

    raised = raised_by(ledger, body, retry=Retry(tries=3, delay=0))
    assert isinstance(raised, TransactionError)
    assert "'body'" in str(raised)
    assert len(seen) == (0 if ";" in end else 1), "found out at once, and not tried again"
    assert amounts(ledger) == []


@pytest.mark.parametrize("end", ["COMMIT", "COMMIT AND CHAIN"])
def test_ending_the_transaction_in_an_async_step_is_an_error(ledger: Database, end: str) -> None:
    async def body() -> None:
        await step_context().connection.execute(end)

    assert isinstance(raised_by(ledger, body), TransactionError)


@pytest.mark.parametrize("what", ["commit", "rollback", "close", "autocommit", "set_autocommit", "with"])
@pytest.mark.parametrize("swallowed", [False, True])
def test_methods_that_end_the_transaction_are_refused(ledger: Database, what: str, swallowed: bool) -> None:
    def end(connection: Any) -> None:
        if what == "autocommit":
            connection.autocommit = True
        elif what == "set_autocommit":
            connection.set_autocommit(True)
        elif what == "with":
            with connection:
                pass
        else:
            getattr(connection, what)()

    def body() -> None:
        insert(1)
        try:
            end(step_context().connection)
        except TransactionError:
            if not swallowed:
                raise

    raised = raised_by(ledger, body)
    assert isinstance(raised, TransactionError)
    assert "'body'" in str(raised)
    assert amounts(ledger) == []


@pytest.mark.parametrize("what", ["commit", "rollback", "close"])
def test_methods_are_refused_in_async_steps(ledger: Database, what: str) -> None:
    async def body() -> None:
        await getattr(step_context().connection, what)()

    assert isinstance(raised_by(ledger, body), TransactionError)


def test_an_sql_error_that_the_step_swallows_is_explained(ledger: Database) -> None:
    def body() -> None:
        insert(1)
        with contextlib.suppress(psycopg.Error):
            step_context().connection.execute("SELECT 1 / 0")

    raised = raised_by(ledger, body)
    assert isinstance(raised, TransactionError)
    assert "division by zero" in str(raised)
    assert amounts(ledger) == []


def test_savepoints_are_the_steps_own(ledger: Database) -> None:
    def body() -> None:
        connection = step_context().connection
        insert(1)
        try:
            with connection.transaction():
                insert(2)
                connection.execute("SELECT 1 / 0")
        except psycopg.Error:
            insert(3)
        with connection.transaction():
            insert(4)

    assert raised_by(ledger, body) is None
    assert amounts(ledger) == [1, 3, 4]


def test_a_statement_left_under_way_is_an_error(ledger: Database) -> None:
    left = []

    def body() -> None:
        copy = step_context().connection.cursor().copy("COPY entries (amount) FROM STDIN")
        copy.__enter__().write("1\n")
        left.append(copy)

    raised = raised_by(ledger, body)
    assert isinstance(raised, TransactionError)
    assert "under way" in str(raised)


def test_conflicts_are_run_again_and_are_no_tries(ledger: Database) -> None:
    conflicts = iter(range(3))
    tries = []

    def body() -> None:
        insert(1)
        tries.append(step_context().tries)
        for _ in conflicts:
            step_context().connection.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

    assert raised_by(ledger, body) is None
    assert tries == [1, 1, 1, 1]
    assert amounts(ledger) == [1]


def test_conflicts_are_run_again_when_the_step_swallows_them(ledger: Database) -> None:
    conflicts = iter(range(2))

    def body() -> None:
        insert(1)
        for _ in conflicts:
            try:
                step_context().connection.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$")
            except psycopg.Error:
                return

    assert raised_by(ledger, body) is None
    assert amounts(ledger) == [1]


def test_an_endless_conflict_is_the_steps_error(ledger: Database) -> None:
    def body() -> None:
        step_context().connection.execute("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$")

    assert isinstance(raised_by(ledger, body), psycopg.errors.SerializationFailure)


def test_two_runs_that_deadlock_both_succeed(ledger: Database) -> None:
    ledger.query("CREATE TABLE accounts (id integer PRIMARY KEY, balance integer NOT NULL)")
    ledger.query("INSERT INTO accounts VALUES (1, 0), (2, 0)")
    met = threading.Barrier(2)

    @step(database=True)
    def add(first: int, second: int) -> None:
        connection = step_context().connection
        connection.execute("UPDATE accounts SET balance = balance + 1 WHERE id = %s", [first])
        # The one that lost is on its second run, alone.
        with contextlib.suppress(threading.BrokenBarrierError):
            met.wait(2)
        connection.execute("UPDATE accounts SET balance = balance + 1 WHERE id = %s", [second])

    @workflow
    def adding(first: int, second: int) -> None:
        add(first, second)

    endings = []
    runs = [Run(ledger.url, adding, 1, 2), Run(ledger.url, adding, 2, 1)]
    threads = [threading.Thread(target=lambda run=run: endings.append(run.attempt())) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(ending) for ending in endings] == [Succeeded] * 2
    assert ledger.query("SELECT balance FROM accounts") == [(2,), (2,)]


def test_a_constraint_checked_at_commit_is_the_steps_error(ledger: Database) -> None:
    ledger.query("ALTER TABLE entries ADD UNIQUE (amount) DEFERRABLE INITIALLY DEFERRED")

    @step(database=True)
    def twice() -> None:
        insert(7)
        insert(7)

    @workflow
    def told() -> int:
        try:
            twice()
        except psycopg.errors.UniqueViolation:
            return book(1)
        return 0

    run = Run(ledger.url, told)
    assert run.attempt() == Succeeded("2")
    assert amounts(ledger) == [1]


def test_a_result_that_cannot_be_stored_undoes_the_writes(ledger: Database) -> None:
    def nul() -> str:
        insert(1)
        return "a\0b"

    def unwritable() -> object:
        insert(1)
        return object()

    for body in (nul, unwritable):
        assert isinstance(raised_by(ledger, body), ValueNotStorable)
        assert amounts(ledger) == []


def test_a_step_that_outlives_its_timeout_writes_nothing(ledger: Database) -> None:
    go_on = threading.Event()
    late: list[BaseException] = []

    def body() -> None:
        connection = step_context().connection
        insert(1)
        try:
            go_on.wait()
            connection.execute("INSERT INTO entries (amount) VALUES (2)")
        except BaseException as error:
            late.append(error)
            raise

    assert isinstance(raised_by(ledger, body, timeout=0.2), StepTimeout)
    go_on.set()
    assert amounts(ledger) == []


@pytest.mark.parametrize("timeout", [0.2])
def test_a_statement_is_ended_with_its_step(ledger: Database, timeout: float) -> None:
    def body() -> None:
        insert(1)
        step_context().connection.execute("SELECT pg_sleep(30)")

    async def body_async() -> None:
        await step_context().connection.execute("SELECT pg_sleep(30)")

    for one in (body, body_async):
        assert isinstance(raised_by(ledger, one, timeout=timeout), StepTimeout | psycopg.errors.QueryCanceled)
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        eventually(lambda asleep=asleep: ledger.query(asleep) == [(0,)], 5)  # type: ignore[misc]
    assert amounts(ledger) == []


def test_a_transaction_left_idle_for_too_long_is_explained(ledger: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perdure.engine.steps.transaction._IDLE", 0.1)
    slow = threading.Event()

    def body() -> None:
        insert(1)
        slow.wait(0.5)
        insert(2)

    raised = raised_by(ledger, body)
    assert isinstance(raised, TransactionError)
    assert "idle" in str(raised)
    assert amounts(ledger) == []


def test_a_body_that_breaks_its_connection_each_time_is_given_up(
    ledger: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perdure.engine.steps.transaction._LOSSES", 3)
    runs = []

    def body() -> None:
        runs.append(1)
        step_context().connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    assert isinstance(raised_by(ledger, body), psycopg.errors.AdminShutdown)
    assert len(runs) == 4


def test_a_cancelled_async_step_writes_nothing_and_replays_cancelled(ledger: Database) -> None:
    @step(database=True)
    async def slow() -> None:
        await book_async.__wrapped__(1)  # type: ignore[attr-defined]
        await asyncio.sleep(30)

    @workflow
    async def impatient() -> str:
        try:
            async with asyncio.timeout(0.2):
                await slow()
        except TimeoutError:
            return f"late {await book_async(2)}"
        return "in time"

    run = Run(ledger.url, impatient)
    assert run.attempt() == Succeeded('"late 4"')
    assert amounts(ledger) == [2]
    assert len(keys(ledger, run)) == 2


def test_an_async_step_does_not_hold_the_loop(ledger: Database) -> None:
    order = []

    @step(database=True)
    async def slow() -> None:
        await step_context().connection.execute("SELECT pg_sleep(0.5)")
        order.append("slow")

    @step
    async def quick() -> None:
        order.append("quick")

    @workflow
    async def both() -> None:
        await asyncio.gather(slow(), quick())

    assert isinstance(Run(ledger.url, both).attempt(), Succeeded)
    assert order == ["quick", "slow"]


def test_the_connection_is_of_no_use_after_its_step(ledger: Database) -> None:
    kept: list[Any] = []

    @step(database=True)
    def lends() -> None:
        kept.append(step_context().connection)

    @workflow
    def borrows() -> None:
        lends()
        kept[0].execute("INSERT INTO entries (amount) VALUES (1)")

    assert isinstance(raised_in(Run(ledger.url, borrows)), TransactionError)
    assert amounts(ledger) == []


def test_an_ordinary_step_has_no_connection(ledger: Database) -> None:
    @step
    def plain() -> None:
        step_context().connection  # noqa: B018

    @workflow
    def asks() -> None:
        plain()

    raised = raised_in(Run(ledger.url, asks))
    assert isinstance(raised, UsageError)
    assert "database=True" in str(raised)


def test_without_a_database_the_step_says_how_to_test_it() -> None:
    with pytest.raises(UsageError, match="Postgres store"):
        DurableRun(books, 1).result()


def test_a_pooler_in_transaction_mode_is_enough(ledger: Database, pgbouncer: PgBouncer) -> None:
    for many in ALL:
        run = Run(ledger.url, many, 6)
        assert isinstance(run.attempt(through=pgbouncer.url(ledger.name)), Succeeded)
        assert len(keys(ledger, run)) == 6
    assert sorted(amounts(ledger)) == sorted([*range(6)] * len(ALL))


def test_a_pod_needs_no_more_rights_than_its_own_tables(ledger: Database) -> None:
    ledger.query("CREATE ROLE dbstep_pod LOGIN")
    try:
        ledger.query("GRANT USAGE ON SCHEMA perdure TO dbstep_pod")
        ledger.query("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA perdure TO dbstep_pod")
        ledger.query("GRANT INSERT ON entries TO dbstep_pod")
        ledger.query("GRANT USAGE ON entries_id_seq TO dbstep_pod")
        run = Run(ledger.url, books, 2)
        run.claim()
        claim = run.claim()
        # A token counts with the login that began alone, so all of the attempt is done with the pod's.
        run.url = ledger.url_as("dbstep_pod")
        ending = run.attempt(claim=claim)
        assert (type(ending), run.number) == (Succeeded, 2)
        assert amounts(ledger) == [0, 1]
    finally:
        ledger.query("DROP OWNED BY dbstep_pod")
        ledger.query("DROP ROLE dbstep_pod")


def test_the_oldest_postgres_does(oldest_database: Database) -> None:
    oldest_database.query("CREATE TABLE entries (id serial PRIMARY KEY, amount integer NOT NULL)")
    for many in (books, books_async):
        assert isinstance(Run(oldest_database.url, many, 3).attempt(), Succeeded)
    assert amounts(oldest_database) == [0, 1, 2] * 2
