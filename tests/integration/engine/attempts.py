"""Attempts of runs against a real store: what a process does that claims one, without the process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import psycopg

from perdure.definitions import definition_of
from perdure.engine.attempt import Attempt, Facts
from perdure.engine.execute import Ending, execute, execute_async
from perdure.engine.loop import RunLoop
from perdure.names import Claim, RunId
from perdure.store.attempts import AttemptStore, ProcessIdentity
from perdure.store.checkpoints import LoopCommitter, Opener, Recorded, ThreadCommitter
from perdure.store.statements import statement

OWNER = "queue:default"


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
                        "backoff_limit": 6,
                        "deadline_seconds": None,
                        "suspend": False,
                    },
                )

    def claim(self) -> Claim:
        """Claim the next attempt by compare-and-set on the one that the store has."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            [(observed,)] = connection.execute("SELECT attempt FROM perdure.runs WHERE id = %s", [self.id]).fetchall()
            token = Claim(uuid4())
            parameters = {"run": self.id, "token": token, "observed": observed}
            assert connection.execute(statement("claim_run"), parameters).fetchall() == [(observed + 1,)]
        return token

    def attempt(
        self, *, through: str | None = None, claim: Claim | None = None, lease: float = 6.0, patience: float | None = 60.0
    ) -> Ending:
        """Claim, begin and execute; the engine and its steps connect to `through`, where it is given."""
        claim = claim or self.claim()
        url = through or self.url
        store = AttemptStore(Opener(self.url))
        try:
            begun = store.begin(self.id, claim, ProcessIdentity(uuid4(), "test", os.getpid(), 0))
            recorded = store.load([(self.id, claim)])[self.id]
            self.number = begun.attempt
            facts = Facts(self.id, claim, begun.attempt, begun.run_name, begun.entrypoint, begun.input)
            ending = self._execute(facts, recorded, Opener(url, system=begun.system, patience=patience), url, lease)
            if ending.state is not None:
                store.finish(self.id, claim, ending.state, ending.result, ending.error)
            return ending
        finally:
            store.close()

    def _execute(self, facts: Facts, recorded: list[Recorded], opener: Opener, url: str, lease: float) -> Ending:
        committer = ThreadCommitter(opener)
        try:
            if not self.definition.is_async:
                return execute(self.definition, Attempt(facts, recorded, committer, database_url=url, lease=lease))
            loop = RunLoop()
            with ThreadPoolExecutor(4) as aside:
                batches = LoopCommitter(opener, loop, aside)
                batches.runs = 1
                try:
                    attempt = Attempt(
                        facts, recorded, committer, loop=loop, loop_committer=batches, database_url=url, lease=lease
                    )
                    return loop.run_until_complete(execute_async(self.definition, attempt))
                finally:
                    batches.close()
                    loop.run_until_complete(asyncio.sleep(0))
                    loop.close()
        finally:
            committer.close()
