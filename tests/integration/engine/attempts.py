"""Attempts of runs against a real store: what a process does that claims one, without the process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg

from perdure.attempt_results import AttemptResult, RunEnd
from perdure.claimed_attempt import ClaimedAttempt
from perdure.definitions import definition_of
from perdure.engine.branches.attempt import Attempt
from perdure.engine.tasks.loop import RunLoop
from perdure.engine.workflow_call import execute, execute_async
from perdure.names import Claim, RunId
from perdure.store.attempts.attempts import AttemptStore
from perdure.store.attempts.checkpoint import Recorded
from perdure.store.attempts.loop_committer import LoopCommitter
from perdure.store.attempts.thread_committer import ThreadCommitter
from perdure.store.postgres.opener import Opener
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.postgres.statements import statement

OWNER = "queue:default"


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that has begun, and what it is to replay."""

    claimed: ClaimedAttempt
    recorded: list[Recorded]
    system: str


class Run:
    """A run of a workflow in the database at `url`, attempted as often as the test likes, in this process."""

    def __init__(self, url: str, workflow: Callable[..., Any], /, *args: Any, run: UUID | None = None) -> None:
        definition = definition_of(workflow)
        assert definition is not None
        self.url = url
        self.definition = definition
        self.id = RunId(run or uuid4())
        self.number = 0
        if run is None:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(
                    statement("insert_run"),
                    {
                        "id": self.id,
                        "owner": OWNER,
                        "namespace": "",
                        "name": str(self.id),
                        "entrypoint": definition.entrypoint,
                        "input": definition.signature.encode(args, {}),
                        "source": None,
                        "origin": None,
                        "backoff_limit": 6,
                        "deadline_seconds": None,
                        "suspend": False,
                        "cleanup_seconds": None,
                    },
                )

    def claim(self) -> Claim:
        """Claim the next attempt by compare-and-set on the one that the store has."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            [(observed,)] = connection.execute("SELECT attempt FROM perdure.runs WHERE id = %s", [self.id]).fetchall()
            token = Claim(uuid4())
            parameters = {"run": self.id, "token": token, "observed": observed, "owner": None, "lock_timeout": "0"}
            assert connection.execute(statement("claim_run"), parameters).fetchall() == [(observed + 1,)]
        return token

    def begin(self, claim: Claim | None = None) -> Begun:
        """Claim, unless that was done, and begin."""
        claim = claim or self.claim()
        store = AttemptStore(Opener(self.url))
        try:
            begun = store.begin(self.id, claim, ProcessIdentity(uuid4(), "test", os.getpid(), 0))
            recorded = store.load([(self.id, begun.token)])[self.id]
        finally:
            store.close()
        self.number = begun.number
        return Begun(begun, recorded, begun.system)

    def finish(self, begun: Begun, result: AttemptResult) -> None:
        """Record the end of the run, if the attempt ended it."""
        if isinstance(result, RunEnd):
            store = AttemptStore(Opener(self.url))
            store.finish(self.id, begun.claimed.token, result)
            store.close()

    def attempt(
        self,
        *,
        through: str | None = None,
        claim: Claim | None = None,
        lease: float = 6.0,
        patience: float | None = 60.0,
        committer: ThreadCommitter | None = None,
    ) -> AttemptResult:
        """Claim, begin, execute and finish; the engine and its steps connect to `through`, where it is given."""
        begun = self.begin(claim)
        url = through or self.url
        opener = Opener(url, system=begun.system, patience=patience)
        own = committer or ThreadCommitter(opener)
        try:
            if self.definition.is_async:
                [result] = _in_loop([self], [begun], opener, own, url, lease)
            else:
                attempt = Attempt(begun.claimed, begun.recorded, own, database_url=url, lease=lease)
                result = execute(self.definition, attempt)
        finally:
            if committer is None:
                own.close()
        self.finish(begun, result)
        return result


def attempt_together(runs: Sequence[Run], *, through: str, patience: float | None = 60.0) -> list[AttemptResult]:
    """Attempts of async runs in one loop, with one committer, as a worker runs them."""
    begun = [run.begin() for run in runs]
    opener = Opener(through, system=begun[0].system, patience=patience)
    committer = ThreadCommitter(opener, alone=False)
    try:
        results = _in_loop(runs, begun, opener, committer, through, 6.0)
    finally:
        committer.close()
    for run, one, result in zip(runs, begun, results, strict=True):
        run.finish(one, result)
    return results


def _in_loop(
    runs: Sequence[Run], begun: Sequence[Begun], opener: Opener, committer: ThreadCommitter, url: str, lease: float
) -> list[AttemptResult]:
    loop = RunLoop()
    batches = LoopCommitter(opener, loop)
    batches.runs = len(runs)

    async def together() -> list[AttemptResult]:
        options: dict[str, Any] = {"loop": loop, "loop_committer": batches, "database_url": url, "lease": lease}
        attempts = [Attempt(one.claimed, one.recorded, committer, **options) for one in begun]
        pairs = zip(runs, attempts, strict=True)
        return list(await asyncio.gather(*(execute_async(run.definition, attempt) for run, attempt in pairs)))

    try:
        return loop.run_until_complete(together())
    finally:
        batches.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
