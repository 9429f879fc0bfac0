"""The connection of a database step: whose it is at which time, and how the step left its transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from perdure.errors import TransactionError
from perdure.store.attempts.step_connection import (
    COMMIT,
    RENEW,
    ROLLBACK,
    AsyncStepConnection,
    Limits,
    Query,
    StepConnection,
    application_name,
    begin,
    end_older_transactions,
    is_conflict,
)
from perdure.store.postgres.connection import Fault
from perdure.store.postgres.libpq import WireError
from tests.harness.databases import Database
from tests.harness.eventually import eventually

LIMITS = Limits(statement=30, lock=20, idle=10)
RUN = UUID(int=7)


@pytest.fixture
def connection(database: Database) -> Iterator[StepConnection]:
    database.query("CREATE TABLE kept (n int PRIMARY KEY)")
    made = StepConnection.open(database.url)
    yield made
    made.end()


def lent(connection: StepConnection) -> StepConnection:
    """In a transaction, as a step's body has it."""
    connection.ask(begin(RUN, 1, "marker", LIMITS))
    connection.lend("book")
    return connection


def test_begin_tells_the_system_and_sets_limits_for_the_transaction(
    connection: StepConnection, database: Database
) -> None:
    row = connection.ask(begin(RUN, 1, "marker", LIMITS))
    [(system,)] = database.query("SELECT system_identifier::text FROM pg_control_system()")
    assert row is not None
    assert row[:2] == (system, True)
    limits = "current_setting('statement_timeout'), current_setting('lock_timeout')"
    assert connection.ask(Query(f"SELECT {limits}")) == ("30s", "20s")
    connection.ask(ROLLBACK)
    assert connection.ask(Query(f"SELECT {limits}")) == ("0", "0")


def test_what_a_body_writes_stands_with_the_commit(connection: StepConnection, database: Database) -> None:
    for end in (ROLLBACK, COMMIT):
        lent(connection).execute("INSERT INTO kept VALUES (1)")
        connection.take_back()
        assert connection.unfinished() is None
        connection.ask(end)
    assert database.query("SELECT n FROM kept") == [(1,)]


@pytest.mark.parametrize("statement", ["COMMIT", "ROLLBACK"])
def test_a_body_that_ends_the_transaction_loses_the_connection(connection: StepConnection, statement: str) -> None:
    with pytest.raises(TransactionError, match="step 'book' ended its transaction itself"):
        lent(connection).execute(statement)
    connection.take_back()
    assert connection.lost
    assert isinstance(connection.violation, TransactionError)


@pytest.mark.parametrize(
    ("use", "named"),
    [
        (lambda c: c.commit(), "commit()"),
        (lambda c: c.rollback(), "rollback()"),
        (lambda c: c.close(), "close()"),
        (lambda c: c.set_autocommit(False), "autocommit"),
    ],
)
def test_what_is_perdures_is_refused_even_if_the_body_swallows_it(
    connection: StepConnection, use: Callable[[Any], None], named: str
) -> None:
    lent(connection)
    with pytest.raises(TransactionError) as refused:
        use(connection)
    assert named in str(refused.value)
    connection.take_back()
    assert connection.unfinished() is refused.value


def leave_failed(connection: StepConnection) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")


def leave_held(connection: StepConnection) -> None:
    connection.held_by = "SQLAlchemy"


def leave_copying(connection: StepConnection) -> None:
    connection.pgconn.exec_(b"COPY kept FROM STDIN")


@pytest.mark.parametrize(
    ("leave", "said"),
    [
        (leave_failed, "a statement in its transaction had failed (division by zero)"),
        (leave_held, "a transaction of SQLAlchemy was open"),
        (leave_copying, "a statement was still under way"),
    ],
)
def test_a_transaction_that_cannot_be_committed_says_why(
    connection: StepConnection, leave: Callable[[StepConnection], None], said: str
) -> None:
    leave(lent(connection))
    connection.take_back()
    assert said in str(connection.unfinished())


def test_outside_of_its_step_it_cannot_be_used(connection: StepConnection) -> None:
    lent(connection)
    connection.take_back()
    connection.rest()
    with pytest.raises(TransactionError, match="used after that step had ended"):
        connection.execute("SELECT 1")
    connection.wake()
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_settings_of_one_step_are_not_the_nexts(connection: StepConnection) -> None:
    lent(connection).execute("SET search_path TO nowhere")
    connection.row_factory = psycopg.rows.dict_row
    connection.take_back()
    connection.ask(COMMIT)
    connection.ask(RENEW)
    connection.renew()
    assert lent(connection).execute("SHOW search_path").fetchall() == [('"$user", public',)]


def test_a_session_that_the_server_has_ended_is_known_as_lost(connection: StepConnection, database: Database) -> None:
    lent(connection)
    assert not connection.hung_up
    database.query("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
    eventually(lambda: connection.hung_up)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("SELECT 1")
    assert connection.lost
    assert isinstance(connection.failure, psycopg.Error)
    assert not connection.idled_out
    with pytest.raises(WireError) as failed:
        connection.ask(COMMIT)
    assert (failed.value.fault, failed.value.sqlstate) == (Fault.AWAY, None)


def test_a_transaction_that_was_left_idle_says_so(connection: StepConnection) -> None:
    connection.ask(begin(RUN, 1, "marker", Limits(statement=30, lock=20, idle=0.05)))
    connection.lend("book")
    eventually(lambda: connection.hung_up)
    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        connection.execute("SELECT 1")
    assert connection.idled_out


def test_an_abandoned_one_ends_what_it_has_under_way(connection: StepConnection, database: Database) -> None:
    lent(connection).execute("INSERT INTO kept VALUES (1)")
    connection.abandon()
    assert connection.lost
    gone = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s"
    eventually(lambda: database.query(gone, application_name(RUN, 1)) == [])
    assert database.query("SELECT n FROM kept") == []
    with pytest.raises(psycopg.OperationalError, match="the connection is closed"):
        connection.execute("SELECT 1")


def test_transactions_of_older_attempts_are_ended(connection: StepConnection, database: Database) -> None:
    lent(connection)
    newer = StepConnection.open(database.url)
    assert newer.ask(end_older_transactions(RUN, 1)) == (0,)
    assert newer.ask(end_older_transactions(uuid4(), 2)) == (0,)
    assert newer.ask(end_older_transactions(RUN, 2)) == (1,)
    newer.end()
    eventually(lambda: connection.hung_up)


def test_a_conflict_is_told_from_other_errors() -> None:
    assert is_conflict(psycopg.errors.SerializationFailure())
    assert is_conflict(psycopg.errors.DeadlockDetected())
    assert not is_conflict(psycopg.errors.UniqueViolation())
    assert not is_conflict(ValueError())
    assert not is_conflict(None)


def test_an_async_one_has_the_same_rules(connection: StepConnection, database: Database) -> None:
    async def use() -> None:
        made = await AsyncStepConnection.open(database.url)
        assert await made.ask(begin(RUN, 1, "marker", LIMITS)) is not None
        made.lend("book")
        await made.execute("INSERT INTO kept VALUES (1)")
        with pytest.raises(TransactionError, match=r"commit\(\)"):
            await made.commit()
        made.take_back()
        assert made.unfinished() is made.violation is not None
        await made.ask(ROLLBACK)
        await made.ask(begin(RUN, 1, "marker", LIMITS))
        made.lend("book")
        with pytest.raises(TransactionError, match="ended its transaction itself"):
            await made.execute("COMMIT")
        assert made.lost
        made.end()

    asyncio.run(use())
    assert database.query("SELECT n FROM kept") == []


def test_where_nobody_listens_the_fault_may_pass() -> None:
    with pytest.raises(WireError) as failed:
        StepConnection.open("postgresql://127.0.0.1:1/nowhere")
    assert failed.value.fault is Fault.AWAY
