"""Database steps on connections that break, above all in the middle of COMMIT: exactly once all the same."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections import Counter
from typing import Any

import psycopg
import pytest
from psycopg import waiting

from perdure import ThreadPoolExecutor, step, step_context, to_thread, workflow
from perdure.attempt_results import AttemptResult, Released, Succeeded
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.proxy import Moment, Proxy
from tests.integration.engine.attempts import Run

INSERT = "INSERT INTO entries (key) VALUES (%s)"

bodies: Counter[str] = Counter()


@pytest.fixture
def ledger(database: Database) -> Database:
    """A database in which each step writes its key to `entries`."""
    database.query("CREATE TABLE entries (key text NOT NULL)")
    bodies.clear()
    return database


@step(database=True)
def enter() -> str:
    context = step_context()
    bodies[context.step_key] += 1
    context.connection.execute(INSERT, [context.step_key])
    return context.step_key


@step(database=True)
async def enter_async() -> str:
    context = step_context()
    bodies[context.step_key] += 1
    await context.connection.execute(INSERT, [context.step_key])
    return context.step_key


@step
def plain() -> None: ...


@workflow
def entries(count: int) -> list[str]:
    return [enter() for _ in range(count)]


@workflow
async def entries_async(count: int) -> list[str]:
    return [await enter_async() for _ in range(count)]


@workflow
async def entries_gathered(count: int) -> list[str]:
    async def several() -> list[str]:
        return [await enter_async() for _ in range(count // 4)]

    return list(itertools.chain(*await asyncio.gather(*(several() for _ in range(4)))))


@workflow
def entries_in_threads(count: int) -> list[str]:
    def several(_: int) -> list[str]:
        return [enter() for _ in range(count // 4)]

    with ThreadPoolExecutor(4) as pool:
        return list(itertools.chain(*pool.map(several, range(4))))


@workflow
async def entries_mixed(count: int) -> list[str]:
    """Database steps and ordinary ones, of tasks and of threads, each waiting for its turn among the others."""

    async def tasks() -> list[str]:
        return [await enter_async() for _ in range(count // 2)]

    def thread() -> list[str]:
        done = []
        for _ in range(count // 2):
            plain()
            done.append(enter())
        return done

    return list(itertools.chain(*await asyncio.gather(tasks(), to_thread(thread))))


def check(ledger: Database, run: Run) -> None:
    """What stands in the user's table is what stands in the store, once each."""
    written = sorted(key for (key,) in ledger.query("SELECT key FROM entries"))
    stored = ledger.query(
        "SELECT step_key FROM perdure.steps WHERE run_id = %s AND name LIKE 'enter%%' ORDER BY step_key", run.id
    )
    assert written == sorted(key for (key,) in stored)
    assert len(set(written)) == len(written)


@pytest.mark.parametrize("entries", [entries, entries_async])
@pytest.mark.parametrize("moment", list(Moment))
def test_the_lost_answer_of_commit_is_found_out(ledger: Database, proxy: Proxy, moment: Moment, entries: Any) -> None:
    run = Run(ledger.url, entries, 1)
    proxy.cut_at(moment, sql="COMMIT")
    ending = run.attempt(through=proxy.url(ledger.name))
    assert (type(ending), proxy.cuts.total()) == (Succeeded, 1)
    check(ledger, run)
    [ran] = bodies.values()
    assert ran == {Moment.BEFORE_REQUEST: 2, Moment.BEFORE_ANSWER: 1, Moment.WITHIN_ANSWER: 1}.get(moment, ran)


@pytest.mark.parametrize("sql", ["BEGIN", "INSERT INTO entries", "perdure.checkpoint"])
@pytest.mark.parametrize("moment", list(Moment))
def test_before_commit_nothing_stands_and_the_body_runs_again(
    ledger: Database, proxy: Proxy, moment: Moment, sql: str
) -> None:
    run = Run(ledger.url, entries, 1)
    proxy.cut_at(moment, sql=sql, times=2)
    assert isinstance(run.attempt(through=proxy.url(ledger.name)), Succeeded)
    assert proxy.cuts.total() == 2
    check(ledger, run)
    assert ledger.query("SELECT tries FROM perdure.steps") == [(1,)], "the user's tries are not used up by it"


@pytest.mark.parametrize("entries", [entries, entries_async])
def test_an_end_that_the_driver_sees_before_libpq_does_is_no_error_of_the_step(
    ledger: Database, entries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where poll(2) tells of an error and of nothing to read, psycopg raises and libpq has noticed nothing."""
    ends: list[int] = []

    def end(sending: Any, number: int) -> None:
        next(sending)
        sending.close()
        with socket.socket(fileno=os.dup(number)) as connection:
            connection.shutdown(socket.SHUT_RDWR)
        ends.append(number)
        raise psycopg.OperationalError("connection socket closed")

    def ends_now() -> bool:
        """With the first statement of the first body."""
        return bodies.total() == 1 and not ends

    wait, wait_async = waiting.wait, waiting.wait_async

    def wait_or_end(sending: Any, number: int, **named: Any) -> Any:
        return end(sending, number) if ends_now() else wait(sending, number, **named)

    async def wait_async_or_end(sending: Any, number: int, **named: Any) -> Any:
        return end(sending, number) if ends_now() else await wait_async(sending, number, **named)

    monkeypatch.setattr(waiting, "wait", wait_or_end)
    monkeypatch.setattr(waiting, "wait_async", wait_async_or_end)
    run = Run(ledger.url, entries, 1)
    ending = run.attempt()
    assert (type(ending), len(ends)) == (Succeeded, 1)
    check(ledger, run)
    assert list(bodies.values()) == [2]


@pytest.mark.parametrize(
    ("entries", "seed"),
    [(entries, 1), (entries_async, 2), (entries_gathered, 3), (entries_in_threads, 4), (entries_mixed, 5)],
)
def test_hundreds_of_random_cuts(ledger: Database, proxy: Proxy, entries: Any, seed: int) -> None:
    run = Run(ledger.url, entries, 80)
    # Each try makes some five requests; that twenty tries in a row are cut does not happen by chance.
    proxy.cut_randomly(0.12, seed=seed)
    ending = run.attempt(through=proxy.url(ledger.name))
    assert isinstance(ending, Succeeded), ending
    assert proxy.cuts.total() >= 40
    check(ledger, run)
    assert len(ledger.query("SELECT key FROM entries")) == 80


@pytest.mark.parametrize("entries", [entries, entries_gathered])
def test_hundreds_of_cuts_in_the_middle_of_commit(ledger: Database, proxy: Proxy, entries: Any) -> None:
    run = Run(ledger.url, entries, 120)
    proxy.cut_randomly(0.6, seed=6, sql="COMMIT")
    ending = run.attempt(through=proxy.url(ledger.name))
    assert isinstance(ending, Succeeded), ending
    assert proxy.cuts.total() >= 72
    check(ledger, run)
    assert len(ledger.query("SELECT key FROM entries")) == 120
    # Its journal reads as the attempt went: nothing is called again, in whatever order.
    before = bodies.total()
    assert isinstance(replayed(run), Succeeded)
    assert bodies.total() == before


def replayed(run: Run) -> AttemptResult:
    with psycopg.connect(run.url, autocommit=True) as connection:
        connection.execute(
            "UPDATE perdure.runs SET state = 'pending', claim = NULL, process = NULL, begun = false, token = NULL"
        )
    return run.attempt()


def test_a_store_that_is_away_is_waited_for(ledger: Database, proxy: Proxy) -> None:
    """Cut within COMMIT, with no way back for a while: the outcome stays in doubt until there is one."""
    run = Run(ledger.url, entries, 3)

    import threading

    healer = threading.Timer(1.0, proxy.heal)

    @step(database=True)
    def unlucky() -> str:
        proxy.cut_at(Moment.BEFORE_ANSWER, sql="COMMIT")
        proxy.refuse()
        healer.start()
        step_context().connection.execute(INSERT, ["unlucky"])
        bodies["unlucky"] += 1
        return "done"

    @workflow
    def waits() -> str:
        return unlucky()

    run = Run(ledger.url, waits)
    assert run.attempt(through=proxy.url(ledger.name)) == Succeeded('"done"')
    assert ledger.query("SELECT key FROM entries") == [("unlucky",)]
    assert bodies["unlucky"] == 1


def test_without_patience_the_run_is_released_and_replay_finds_out(ledger: Database, proxy: Proxy) -> None:
    run = Run(ledger.url, entries, 1)
    claim = run.claim()
    proxy.cut_randomly(1.0, seed=1, moments=[Moment.BEFORE_ANSWER], sql="COMMIT")

    def gone_for_good() -> bool:
        proxy.refuse()
        return True

    import threading

    first_cut = lambda: eventually(lambda: proxy.cuts.total() > 0, every=0.001)  # noqa: E731
    cut = threading.Thread(target=lambda: first_cut() and gone_for_good())
    cut.start()
    ending = run.attempt(through=proxy.url(ledger.name), claim=claim, patience=0.0)
    cut.join()
    assert isinstance(ending, Succeeded | Released)
    proxy.heal()
    if isinstance(ending, Released):
        assert isinstance(run.attempt(), Succeeded)
    check(ledger, run)
    assert bodies.total() == 1
