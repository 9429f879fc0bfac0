"""Runs of every kind that are under way while something happens to their Postgres, and what must hold of them after.

Lone sync runs with a connection each, sync runs in threads that share one, and async runs in one loop. Each step's body
adds a line to a file before its outcome is stored, so the file and the store's rows tell what ran, and how often.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from perdure import step, step_context, workflow
from perdure.attempt_results import AttemptResult
from perdure.engine.branches.attempt import Attempt
from perdure.engine.tasks.loop import RunLoop
from perdure.engine.workflow_call import execute, execute_async
from perdure.store.attempts.loop_committer import LoopCommitter
from perdure.store.attempts.thread_committer import ThreadCommitter
from perdure.store.postgres.opener import Opener
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.lines import whole_lines
from tests.integration.engine.attempts import Begun, Run

__all__ = ["Fleet", "run_loop"]

pause = 0.01
"""Seconds that a body takes, so that a run is still under way when something happens."""

effects: Path
"""What ran: a line for each body, with run, step and attempt."""


def note_effect() -> None:
    """Add a line for the step that is running here."""
    context = step_context()
    file = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{context.run_id} {context.step_key} {context.attempt}\n".encode())
    os.close(file)


@step
def work(number: int) -> int:
    note_effect()
    time.sleep(pause)
    return number


@step
async def work_async(number: int) -> int:
    note_effect()
    await asyncio.sleep(pause)
    return number


@workflow
def working(steps: int) -> int:
    return sum(work(n) for n in range(steps))


@workflow
async def working_async(steps: int) -> int:
    return sum([await work_async(n) for n in range(steps)])


class Fleet:
    """A few runs of each kind.

    Args:
        database: where they are inserted and looked at.
        folder: for the file of effects.
        url: by which their attempts reach the database; the database's own by default.
        steps: of each run.
        patience: seconds for which their steps wait for the store.
        body: seconds that each body takes.
    """

    def __init__(
        self,
        database: Database,
        folder: Path,
        *,
        url: str | None = None,
        steps: int = 60,
        patience: float | None = 60.0,
        alone: int = 2,
        threads: int = 4,
        loop: int = 8,
        body: float = 0.01,
    ) -> None:
        global effects, pause
        effects, pause = folder / "effects", body
        self.database = database
        self.url = url or database.url
        self.steps = steps
        self.patience = patience
        sync = [Run(self.url, working, steps) for _ in range(alone + threads)]
        self.alone, self.threads = sync[:alone], sync[alone:]
        self.loop = [Run(self.url, working_async, steps) for _ in range(loop)]
        self.runs = [*sync, *self.loop]
        self.endings: dict[UUID, AttemptResult] = {}
        self._pool = ThreadPoolExecutor(16)
        self._futures: list[Future[None]] = []
        self._committers: list[ThreadCommitter] = []

    def start(self) -> Fleet:
        """Begin an attempt of each run that has not ended, and execute them all."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            rows = connection.execute("SELECT id FROM perdure.runs WHERE state IN ('pending', 'running')").fetchall()
        left = {run for (run,) in rows}
        begun = {run.id: run.begin() for run in self.runs if run.id in left}
        if not begun:
            return self
        for run in self.alone:
            self._run(begun, run, self._committer(begun, alone=True))
        shared = self._committer(begun, alone=False)
        for run in self.threads:
            self._run(begun, run, shared)
        if any(run.id in begun for run in self.loop):
            self._futures.append(self._pool.submit(self._run_loop, begun))
        return self

    def ran(self) -> list[tuple[UUID, str, int]]:
        """Run, step and attempt of each body that ran."""
        return [(UUID(run), key, int(attempt)) for run, key, attempt in map(str.split, whole_lines(effects))]

    def reach(self, share: float) -> None:
        """Wait until this share of all steps has run."""
        eventually(lambda: len(self.ran()) >= share * self.steps * len(self.runs) or self._failed(), 30)

    def wait(self, deadline: float = 40.0) -> None:
        """Wait for all attempts to end."""
        for future in self._futures:
            future.result(deadline)
        self._futures.clear()

    def go_on(self, most: int = 5) -> None:
        """Attempt the runs that are left, until none is."""
        for _ in range(most):
            self.wait()
            if len(self._states()) == 1 and "succeeded" in self._states():
                return
            self.start()
        raise AssertionError(f"the runs have not ended: {self._states()}")

    def check(self, *, repeated: int = 0) -> None:
        """Every run has succeeded, and every step of it has run once; `repeated` may have run more often."""
        assert self._states() == {"succeeded": len(self.runs)}, self.endings
        expected = {(run.id, key) for run in self.runs for key in self._keys(run)}
        rows = self.database.query("SELECT run_id, step_key, result::text::int, ordinal FROM perdure.steps")
        assert {(run, key) for run, key, _, _ in rows} == expected
        for run, key, result, _ in rows:
            assert key == _key(key.partition("#")[0], result), (run, key, result)
        often = Counter((run, key) for run, key, _ in self.ran())
        assert set(often) == expected
        again = {place: count for place, count in often.items() if count > 1}
        assert len(again) <= repeated, again
        results = self.database.query("SELECT result::text::int FROM perdure.runs")
        assert set(results) == {(sum(range(self.steps)),)}

    def left(self, runs: Sequence[UUID]) -> int:
        """How many of these runs have not ended."""
        [(count,)] = self.database.query(
            "SELECT count(*) FROM perdure.runs WHERE id = ANY (%s) AND finished IS NULL", list(runs)
        )
        return int(count)

    def stored(self) -> set[tuple[UUID, str]]:
        """Run and key of each stored step."""
        return set(self.database.query("SELECT run_id, step_key FROM perdure.steps"))

    def close(self) -> None:
        """End its connections, once nothing of it runs any more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for committer in self._committers:
            committer.close()

    def _states(self) -> dict[str, int]:
        return dict(self.database.query("SELECT state, count(*) FROM perdure.runs GROUP BY state"))

    def _keys(self, run: Run) -> list[str]:
        name = "work_async" if run.definition.is_async else "work"
        return [_key(name, n) for n in range(self.steps)]

    def _failed(self) -> bool:
        for future in self._futures:
            if future.done() and (error := future.exception()):
                raise error
        return False

    def _opener(self, begun: dict[Any, Begun]) -> Opener:
        system = next(iter(begun.values())).system
        return Opener(self.url, system=system, patience=self.patience)

    def _committer(self, begun: dict[Any, Begun], *, alone: bool) -> ThreadCommitter:
        self._committers.append(ThreadCommitter(self._opener(begun), alone=alone))
        return self._committers[-1]

    def _run(self, begun: dict[Any, Begun], run: Run, committer: ThreadCommitter) -> None:
        if (one := begun.get(run.id)) is not None:
            self._futures.append(self._pool.submit(self._run_sync, one, run, committer))

    def _run_sync(self, begun: Begun, run: Run, committer: ThreadCommitter) -> None:
        attempt = Attempt(begun.claimed, begun.recorded, committer, database_url=self.url)
        self._end(run, begun, execute(run.definition, attempt))

    def _run_loop(self, begun: dict[Any, Begun]) -> None:
        runs = {begun[run.id].claimed.run_id: run for run in self.loop if run.id in begun}
        with ThreadPoolExecutor(8) as enders:

            def ended(one: Begun, ending: AttemptResult) -> None:
                enders.submit(self._end, runs[one.claimed.run_id], one, ending)

            run_loop(list(runs.values()), [begun[run] for run in runs], self._opener(begun), ended)

    def _end(self, run: Run, begun: Begun, ending: AttemptResult) -> None:
        self.endings[run.id] = ending
        run.finish(begun, ending)


def run_loop(
    runs: Sequence[Run], begun: Sequence[Begun], opener: Opener, ended: Callable[[Begun, AttemptResult], object]
) -> None:
    """Execute begun attempts of async runs in one loop with one committer, as a worker does."""
    loop = RunLoop()
    committer = ThreadCommitter(opener, alone=False)
    batches = LoopCommitter(opener, loop)
    batches.runs = len(runs)

    async def one_of_them(run: Run, one: Begun) -> None:
        attempt = Attempt(
            one.claimed, one.recorded, committer, loop=loop, loop_committer=batches, database_url=opener.url
        )
        ended(one, await execute_async(run.definition, attempt))

    async def together() -> None:
        await asyncio.gather(*(one_of_them(run, one) for run, one in zip(runs, begun, strict=True)))

    try:
        loop.run_until_complete(together())
    finally:
        batches.close()
        committer.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def _key(name: str, number: int) -> str:
    return name if number == 0 else f"{name}#{number + 1}"
