"""Calls of the schema's functions over a bare connection: prepared where that holds, and errors with their remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest

from perdure.store.attempts.checkpoint import Answer
from perdure.store.postgres.connection import Fault
from perdure.store.postgres.libpq import CHECKPOINT, HEARTBEAT, LOAD, Call, LoopWire, Wire, WireError
from tests.harness.databases import Database
from tests.harness.pgbouncer import PgBouncer

ANSWER = Call(b"test_answer", b"SELECT $1 || 'b', NULL::text, n FROM generate_series(1, 2) n", (25,))
FAIL = Call(b"test_fail", b"SELECT 1 / $1", (23,))


@pytest.fixture
def wire(database: Database) -> Iterator[Wire]:
    made = Wire(database.url)
    yield made
    made.close()


def test_rows_come_as_text_and_none(wire: Wire) -> None:
    assert wire.rows(ANSWER, [b"a"]) == [[b"ab", None, b"1"], [b"ab", None, b"2"]]
    assert wire.scalar(ANSWER, [b"a"]) == b"ab"
    assert wire.rows(ANSWER, [None]) == [[None, None, b"1"], [None, None, b"2"]]


def test_a_call_is_prepared_once(wire: Wire, database: Database) -> None:
    for _ in range(3):
        wire.scalar(ANSWER, [b"a"])
    assert wire.prepared == {b"test_answer"}
    kept = wire.pgconn.exec_(b"SELECT name FROM pg_prepared_statements")
    assert [kept.get_value(row, 0) for row in range(kept.ntuples)] == [b"test_answer"]


def test_the_functions_of_the_schema_take_their_parameters(wire: Wire) -> None:
    run, token = str(uuid4()).encode(), str(uuid4()).encode()
    assert (
        wire.scalar(CHECKPOINT, [run, token, b"a", b"1", b"a", b"1", b"0", b"0", b"1", None, None, b"s"])
        == b"%d" % Answer.GONE
    )
    assert wire.rows(HEARTBEAT, [run, token, b"1", None])
    with pytest.raises(WireError) as failed:
        wire.rows(LOAD, [b"{%s}" % run, b"{%s}" % token])
    assert failed.value.sqlstate is not None


def test_a_refused_call_leaves_the_connection_good(wire: Wire) -> None:
    with pytest.raises(WireError, match="division by zero") as failed:
        wire.scalar(FAIL, [b"0"])
    assert (failed.value.fault, failed.value.sqlstate) == (Fault.REFUSED, "22012")
    assert wire.scalar(FAIL, [b"1"]) == b"1"


def test_a_session_that_was_ended_has_an_unknown_outcome(wire: Wire, database: Database) -> None:
    database.query("SELECT pg_terminate_backend(%s)", wire.pgconn.backend_pid)
    with pytest.raises(WireError) as failed:
        wire.scalar(ANSWER, [b"a"])
    assert failed.value.fault is Fault.AWAY
    with pytest.raises(WireError):
        wire.scalar(ANSWER, [b"a"])


def test_a_statement_that_a_pooler_has_lost_is_sent_unprepared(wire: Wire) -> None:
    wire.scalar(ANSWER, [b"a"])
    wire.pgconn.exec_(b"DEALLOCATE ALL")
    assert wire.scalar(ANSWER, [b"a"]) == b"ab"
    assert not wire.prepares
    assert wire.scalar(FAIL, [b"1"]) == b"1"


def test_a_pooler_is_noticed(wire: Wire, database: Database, pgbouncer: PgBouncer) -> None:
    through = Wire(pgbouncer.url(database.name))
    assert wire.system_identifier() == through.system_identifier()
    assert (wire.pooled, through.pooled) == (False, True)
    through.close()


async def ask(wire: LoopWire, call: Call, *parameters: bytes | None) -> list[list[bytes | None]]:
    answer: asyncio.Future[list[list[bytes | None]] | WireError] = asyncio.get_running_loop().create_future()
    wire.send(call, parameters, answer.set_result)
    assert wire.busy
    assert not answer.done()
    got = await asyncio.wait_for(answer, 10)
    assert not wire.busy
    if isinstance(got, WireError):
        raise got
    return got


def test_a_loop_waits_for_answers(wire: Wire) -> None:
    async def calls() -> None:
        loop_wire = LoopWire(wire, asyncio.get_running_loop())
        large = b"x" * 5_000_000  # more than a socket takes at once
        assert (await ask(loop_wire, ANSWER, large))[0][0] == large + b"b"
        with pytest.raises(WireError, match="division by zero"):
            await ask(loop_wire, FAIL, b"0")
        assert await ask(loop_wire, FAIL, b"1") == [[b"1"]]
        wire.pgconn.exec_(b"SELECT 1")
        loop_wire.close()

    asyncio.run(calls())


def test_a_loop_hears_of_a_lost_statement_and_of_a_lost_session(wire: Wire, database: Database) -> None:
    async def calls() -> None:
        loop_wire = LoopWire(wire, asyncio.get_running_loop())
        await ask(loop_wire, ANSWER, b"a")
        wire.pgconn.exec_(b"DEALLOCATE ALL")
        assert (await ask(loop_wire, ANSWER, b"a"))[0] == [b"ab", None, b"1"]
        database.query("SELECT pg_terminate_backend(%s)", wire.pgconn.backend_pid)
        with pytest.raises(WireError) as failed:
            await ask(loop_wire, ANSWER, b"a")
        assert failed.value.fault is Fault.AWAY
        loop_wire.close()

    asyncio.run(calls())
