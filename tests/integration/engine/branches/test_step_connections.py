"""A database step gets a connection once its process has a slot for it, and gives the slot up whatever happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perdure.engine.branches.attempt import Attempt
from perdure.engine.branches.step_connections import Opened, open_async, open_sync
from perdure.engine.tasks.loop import RunLoop
from perdure.errors import Released
from perdure.store.attempts.idle_connections import IdleConnections
from perdure.store.attempts.step_connection import StepConnection
from perdure.store.postgres.libpq import WireError
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.unit.engine.attempts import first_attempt

NOWHERE = "postgresql://127.0.0.1:1/none"


@pytest.fixture
def slots() -> Iterator[IdleConnections]:
    """One slot, for all steps of the process."""
    made = IdleConnections(1)
    yield made
    made.close()


def attempt_at(url: str, slots: IdleConnections, loop: RunLoop | None = None, number: int = 1) -> Attempt:
    return first_attempt(number=number, loop=loop, database_url=url, connections=slots)


def give_back(attempt: Attempt, opened: Opened[Any], *, keep: bool = False) -> None:
    seat, connection, *_ = opened
    if keep:
        attempt.idle_connections.keep(connection, (attempt.run_id, attempt.number))
    else:
        connection.end()
    attempt.idle_connections.leave(seat)


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """A thread that makes a call, and what came of it."""
    came: list[Any] = []

    def run() -> None:
        try:
            came.append(call())
        except BaseException as error:
            came.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, came


def test_a_free_slot_has_a_new_connection_and_then_the_kept_one(database: Database, slots: IdleConnections) -> None:
    first, later = (attempt_at(database.url, slots, number=number) for number in (1, 2))
    opened = open_sync(first, sealed=False)
    assert opened[1].usable
    assert opened[2:] == (False, False)
    give_back(first, opened, keep=True)

    again = open_sync(first, sealed=False)
    assert again[1] is opened[1]
    assert again[2:] == (True, True)
    give_back(first, again, keep=True)

    of_another = open_sync(later, sealed=False)
    assert of_another[1] is opened[1]
    assert of_another[2:] == (True, False)
    give_back(later, of_another)


@pytest.mark.parametrize("sealed", [False, True])
def test_a_step_that_waits_is_not_under_way_unless_it_is_sealed(
    database: Database, slots: IdleConnections, sealed: bool
) -> None:
    attempt = attempt_at(database.url, slots)
    first = open_sync(attempt, sealed=False)
    attempt.enter_step()
    thread, came = in_thread(lambda: open_sync(attempt, sealed=sealed))
    eventually(lambda: slots._waiting)
    eventually(lambda: attempt.in_step is sealed)
    assert came == []
    give_back(attempt, first)
    thread.join(10)
    assert attempt.in_step
    give_back(attempt, came[0])
    assert slots.lent == 0


def test_the_end_of_the_attempt_ends_the_wait_for_a_slot(database: Database, slots: IdleConnections) -> None:
    attempt = attempt_at(database.url, slots)
    first = open_sync(attempt, sealed=False)
    attempt.enter_step()
    thread, came = in_thread(lambda: open_sync(attempt, sealed=False))
    eventually(lambda: slots._waiting)
    attempt.interrupt(Released("moved"))
    thread.join(10)
    assert came == [attempt.signal]
    assert not slots._waiting
    give_back(attempt, first)
    assert slots.lent == 0


def test_a_connection_that_the_server_ended_gives_its_slot_to_who_waits(
    database: Database, slots: IdleConnections
) -> None:
    attempt = attempt_at(database.url, slots)
    first = open_sync(attempt, sealed=False)
    thread, came = in_thread(lambda: open_sync(attempt, sealed=True))
    eventually(lambda: slots._waiting)
    database.query("SELECT pg_terminate_backend(%s)", first[1].info.backend_pid)
    thread.join(10)
    assert isinstance(came[0][1], StepConnection)
    give_back(attempt, came[0])
    first[1].end()


def test_a_store_that_does_not_answer_costs_no_slot(slots: IdleConnections) -> None:
    with pytest.raises(WireError):
        open_sync(attempt_at(NOWHERE, slots), sealed=False)
    assert slots.lent == 0
    loop = RunLoop()
    try:
        with pytest.raises(WireError):
            loop.run_until_complete(open_async(attempt_at(NOWHERE, slots, loop)))
    finally:
        loop.close()
    assert slots.lent == 0


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
def loop() -> Iterator[RunLoop]:
    made = RunLoop()
    yield made
    made.close()


def test_an_async_step_waits_in_the_same_queue(database: Database, slots: IdleConnections, loop: RunLoop) -> None:
    attempt = attempt_at(database.url, slots, loop)

    async def main() -> None:
        first = await open_async(attempt)
        attempt.enter_step()
        task = asyncio.create_task(open_async(attempt))
        await turns()
        assert (task.done(), attempt.in_step) == (False, False)
        give_back(attempt, first, keep=True)
        opened = await task
        assert opened[1] is first[1]
        assert (opened[2:], attempt.in_step) == ((True, True), True)
        give_back(attempt, opened)

    loop.run_until_complete(main())
    assert slots.lent == 0


def test_an_async_step_that_is_cancelled_while_it_waits_is_under_way_again(
    database: Database, slots: IdleConnections, loop: RunLoop
) -> None:
    """Its outcome, a cancellation, is yet to be stored."""
    attempt = attempt_at(database.url, slots, loop)

    async def main() -> None:
        first = await open_async(attempt)
        attempt.enter_step()
        task = asyncio.create_task(open_async(attempt))
        await turns()
        assert not attempt.in_step
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert attempt.in_step
        assert not slots._waiting
        give_back(attempt, first)

    loop.run_until_complete(main())
    assert slots.lent == 0


def test_the_end_of_the_attempt_ends_an_async_wait_too(
    database: Database, slots: IdleConnections, loop: RunLoop
) -> None:
    attempt = attempt_at(database.url, slots, loop)

    async def main() -> None:
        first = await open_async(attempt)
        attempt.enter_step()
        task = asyncio.create_task(open_async(attempt))
        await turns()
        attempt.interrupt(Released("moved"))
        with pytest.raises(Released):
            await asyncio.wait_for(task, 10)
        assert not slots._waiting
        give_back(attempt, first)

    loop.run_until_complete(main())
    assert slots.lent == 0
