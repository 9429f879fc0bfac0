"""The workflows of the load, as their pods import them: each shape calls steps in another way.

A step's body notes that it begins and, last of all, that it is done, by a connection that the store knows nothing of,
and waits for as long as the database is away. Its result is a token of this one execution, so that a checkpoint tells
which execution it is of; a workflow returns the tokens of the steps that it used.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psycopg

import perdure
from perdure import step, step_context, workflow

WIDTH = 4
"""Steps that run at a time, where several do."""

_AWAY = 0.1  # seconds from one try at a database that is away to the next
_IMPATIENT: dict[str, Any] = {
    "connect_timeout": 2,
    "tcp_user_timeout": 2000,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
}
_here = threading.local()


def _note(statement: str, *parameters: Any) -> None:
    while True:
        try:
            if not hasattr(_here, "connection"):
                _here.connection = psycopg.connect(os.environ["NOTED_URL"], autocommit=True, **_IMPATIENT)
            _here.connection.execute(statement, parameters)
        except psycopg.OperationalError:
            vars(_here).clear()
            time.sleep(_AWAY)
        else:
            return


class _Execution:
    """One execution of a step's body; `seconds` is how long it is to take, the same whoever executes it."""

    def __init__(self, n: int) -> None:
        self._context = step_context()
        self._id = uuid4()
        self.seconds = Random(f"{self._context.run_id} {n}").uniform(0.05, 0.3)

    def begins(self) -> None:
        context = self._context
        _note("SELECT noted.begins(%s, %s, %s, %s)", self._id, context.run_id, context.step_key, context.attempt)

    def done(self) -> str:
        """Its token."""
        _note("SELECT noted.done(%s)", self._id)
        return _token(self._id)


def _token(execution: UUID) -> str:
    return execution.hex[:12]


@step
def work(n: int) -> str:
    execution = _Execution(n)
    execution.begins()
    time.sleep(execution.seconds)
    return execution.done()


@step
async def work_in_loop(n: int) -> str:
    execution = _Execution(n)
    execution.begins()
    await asyncio.sleep(execution.seconds)
    return execution.done()


@step(database=True)
def book(n: int) -> str:
    execution = _Execution(n)
    execution.begins()
    context = step_context()
    context.connection.execute("INSERT INTO noted.bookings VALUES (%s, %s)", (context.run_id, context.step_key))
    return execution.done()


@workflow
def in_turn(steps: int) -> list[str]:
    return [book(n) if n % 5 == 4 else work(n) for n in range(steps)]


@workflow
async def in_loop(steps: int) -> list[str]:
    return [await work_in_loop(n) for n in range(steps)]


@workflow
async def gathered(steps: int) -> list[str]:
    return [
        token
        for first in range(0, steps, WIDTH)
        for token in await asyncio.gather(*(work_in_loop(n) for n in range(first, min(first + WIDTH, steps))))
    ]


@workflow
def in_threads(steps: int) -> list[str]:
    with perdure.ThreadPoolExecutor(WIDTH) as pool:
        return list(pool.map(work, range(steps)))


@workflow
async def raced(steps: int) -> list[str]:
    tokens = []
    for n in range(steps):
        pair = [asyncio.create_task(work_in_loop(2 * n + one)) for one in range(2)]
        done, late = await asyncio.wait(pair, return_when=asyncio.FIRST_COMPLETED)
        for task in late:
            task.cancel()
        tokens.append(next(task.result() for task in pair if task in done))
    return tokens
