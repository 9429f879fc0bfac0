"""Connections that are cut in the middle of commits, over a thousand times: each outcome is found out, none is guessed.

`make chaos` does it ten times as often.

What holds of every step when its call returns: its row is in the store, with the very result that its body gave. At the
end each body has run once.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor as Threads
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from perdure import ThreadPoolExecutor, step, step_context, workflow
from perdure.attempt_results import AttemptResult, Succeeded
from perdure.store.attempts.thread_committer import ThreadCommitter
from perdure.store.postgres.opener import Opener
from tests.harness.databases import Database
from tests.harness.proxy import Proxy
from tests.harness.scale import SCALE

from .attempts import Run, attempt_together

RATE = 0.35
"""Share of commits that are cut, tries after a cut included: one for every other step."""


class Witness:
    """Sees each body run, and each call return."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[object, str], list[int]] = {}
        self.lock = threading.Lock()
        self.connection: psycopg.Connection | None = None
        self.unstored: list[object] = []

    def ran(self) -> int:
        """What a body returns: never the same twice."""
        context = step_context()
        value = random.getrandbits(40)
        with self.lock:
            self.bodies.setdefault((context.run_id, context.step_key), []).append(value)
        return value

    def returned(self, value: int) -> None:
        """A call has returned: what it returned is in the store, as others see it."""
        with self.lock:
            assert self.connection is not None
            found = self.connection.execute("SELECT FROM perdure.steps WHERE result::text = %s", [str(value)])
            if found.rowcount != 1:
                self.unstored.append(value)


witness = Witness()


@step
def draw() -> int:
    return witness.ran()


@step
async def draw_async() -> int:
    return witness.ran()


def drawn(count: int) -> None:
    for _ in range(count):
        witness.returned(draw())


async def drawn_async(count: int) -> None:
    for _ in range(count):
        witness.returned(await draw_async())


@workflow
def draws(count: int) -> None:
    drawn(count)


@workflow
def draws_in_threads(count: int) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: drawn(count // 4), range(4)))


@workflow
async def draws_async(count: int) -> None:
    await drawn_async(count)


@workflow
async def draws_gathered(count: int) -> None:
    await asyncio.gather(*(drawn_async(count // 4) for _ in range(4)))


@contextmanager
def watched(database: Database) -> Iterator[None]:
    witness.__init__()  # type: ignore[misc]
    database.query("CREATE INDEX ON perdure.steps ((result::text))")
    with database.connect() as connection:
        witness.connection = connection
        yield


def check(database: Database, runs: Sequence[Run], endings: Sequence[AttemptResult], steps: int) -> None:
    assert Counter(type(ending) for ending in endings) == {Succeeded: len(runs)}, endings
    assert witness.unstored == [], "a step was reported as stored that was not"
    stored = database.query("SELECT run_id, step_key, result::text, attempt, ordinal FROM perdure.steps")
    assert len(stored) == len(runs) * steps
    assert {(run, key): [json.loads(result)] for run, key, result, _, _ in stored} == witness.bodies
    for run in runs:
        ordinals = sorted(ordinal for found, _, _, attempt, ordinal in stored if found == run.id and attempt == 1)
        assert ordinals == list(range(1, steps + 1))


@pytest.mark.parametrize("draws", [draws, draws_in_threads])
def test_commits_of_threads(database: Database, proxy: Proxy, draws: Any) -> None:
    """Each run has a committer of its own: one checkpoint at a time, or those of its own threads."""
    runs = [Run(database.url, draws, 100) for _ in range(12 * SCALE)]
    with watched(database), Threads(12) as pool:
        proxy.cut_randomly(RATE, seed=1, sql="perdure.checkpoint")
        endings = list(pool.map(lambda run: run.attempt(through=proxy.url(database.name)), runs))
        check(database, runs, endings, 100)
    assert proxy.cuts.total() >= 300 * SCALE
    assert len(proxy.cuts) == 4, "at each of the four moments"


def test_commits_of_many_threads_together(database: Database, proxy: Proxy) -> None:
    """Runs that share a committer: what comes while a commit is under way goes together."""
    runs = [Run(database.url, draws, 40) for _ in range(12 * SCALE)]
    committer = ThreadCommitter(Opener(proxy.url(database.name)), alone=False)
    with watched(database), Threads(12) as pool:
        proxy.cut_randomly(RATE, seed=2, sql="perdure.checkpoint")
        through = proxy.url(database.name)
        endings = list(pool.map(lambda run: run.attempt(through=through, committer=committer), runs))
        committer.close()
        check(database, runs, endings, 40)
    assert proxy.cuts.total() >= 60 * SCALE
    assert sum("perdure.checkpoints(" in statement for statement in proxy.cut_statements) >= 5


@pytest.mark.parametrize("draws", [draws_async, draws_gathered])
def test_commits_of_one_loop(database: Database, proxy: Proxy, draws: Any) -> None:
    """One run to a loop, of one task or of several."""
    runs = [Run(database.url, draws, 100) for _ in range(8 * SCALE)]
    with watched(database), Threads(8) as pool:
        proxy.cut_randomly(RATE, seed=3, sql="perdure.checkpoint")
        endings = list(pool.map(lambda run: run.attempt(through=proxy.url(database.name)), runs))
        check(database, runs, endings, 100)
    assert proxy.cuts.total() >= 250 * SCALE


def test_commits_of_many_runs_in_one_loop(database: Database, proxy: Proxy) -> None:
    """Batches of up to 64, cut in the middle."""
    runs = [Run(database.url, draws_async, 20 * SCALE) for _ in range(64)]
    with watched(database):
        proxy.cut_randomly(0.3, seed=4, sql="perdure.checkpoint")
        endings = attempt_together(runs, through=proxy.url(database.name))
        check(database, runs, endings, 20 * SCALE)
    assert proxy.cuts.total() >= 60 * SCALE
    assert sum("perdure.checkpoints(" in statement for statement in proxy.cut_statements) >= 5
