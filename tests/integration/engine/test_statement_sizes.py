"""What goes into one statement is bounded by bytes as well as by number, and nothing large is sent twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from perdure import step, workflow
from perdure.attempt_results import Succeeded
from perdure.client import Client
from perdure.store.attempts.checkpoint import Answer, Checkpoint, Settled
from perdure.store.attempts.thread_committer import ThreadCommitter
from perdure.store.postgres.opener import Opener
from perdure.worker import Worker
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.proxy import Proxy

from .attempts import Begun, Run, attempt_together

MIB = 2**20
RUNS, VALUE = 64, 900_000
BOUND = 6 * MIB


@step
async def large(number: int) -> str:
    return f"{number:>{VALUE}}"


@step
def large_sync(number: int) -> str:
    return f"{number:>{VALUE}}"


@workflow
async def returns_a_large_value(number: int) -> int:
    return len(await large(number))


@workflow
def takes_a_large_value(text: str) -> str:
    large_sync(1)
    return text


@pytest.fixture
def begun(database: Database) -> list[Begun]:
    runs = [Run(database.url, returns_a_large_value, n) for n in range(RUNS)]
    return [run.begin() for run in runs]


def test_checkpoints_of_tasks(database: Database, proxy: Proxy) -> None:
    runs = [Run(database.url, returns_a_large_value, n) for n in range(RUNS)]
    endings = attempt_together(runs, through=proxy.url(database.name))
    assert set(endings) == {Succeeded(str(VALUE))}
    count, sent, largest = proxy.sizes("perdure.checkpoint")
    assert largest < BOUND
    assert sent < 1.1 * RUNS * VALUE, "nothing was refused and sent again"
    assert count < RUNS, "they still go together"


def test_checkpoints_of_threads(database: Database, proxy: Proxy, begun: list[Begun]) -> None:
    committer = ThreadCommitter(Opener(proxy.url(database.name)), alone=False)
    answers: list[Settled] = []

    def commit(one: Begun) -> None:
        run, claim = str(one.claimed.run_id).encode(), str(one.claimed.token).encode()
        value = f'"{"x" * VALUE}"'
        answers.append(committer.commit(Checkpoint(run, claim, "work", 1, "work", 1, 0, 10, value, None)))

    threads = [threading.Thread(target=commit, args=(one,)) for one in begun]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    committer.close()
    assert answers == [Answer.DONE] * RUNS
    count, sent, largest = proxy.sizes("perdure.checkpoint")
    assert largest < BOUND
    assert sent < 1.1 * RUNS * VALUE
    assert count < RUNS


def test_a_worker_claims_and_ends_runs_of_large_values(database: Database, proxy: Proxy) -> None:
    text = "y" * VALUE
    runs = [Run(database.url, takes_a_large_value, text) for _ in range(RUNS)]
    with Worker(proxy.url(database.name), workflows=[takes_a_large_value]):
        eventually(lambda: database.query("SELECT DISTINCT state FROM perdure.runs") == [("succeeded",)], 40, 0.1)
    _, sent, largest = proxy.sizes("perdure.finish(")
    assert largest < BOUND
    assert sent < 1.1 * RUNS * VALUE
    with Client(proxy.url(database.name)) as client:
        before = proxy.sizes("OVER (ORDER BY id")[0]
        with ThreadPoolExecutor(RUNS) as threads:
            results = list(threads.map(lambda run: client.handle(run.id).result(30), runs))
        assert results == [text] * RUNS
        asked = proxy.sizes("OVER (ORDER BY id")[0] - before
    assert asked >= RUNS * VALUE / BOUND, "what a client waits for comes in portions, too"
